/* Ids as bits; see id_bits.h. */
#include "index/id_bits.h"

#include "core/file.h"
#include "core/sorted.h"

enum { WORD = 64 };

size_t dip_id_bits_words(uint64_t first, uint64_t last)
{
    return (size_t)((last - first) / WORD) + 1;
}

size_t dip_id_bits_blocks(size_t words) { return (words + DIP_ID_BLOCK - 1) / DIP_ID_BLOCK; }

/* In a dozen instructions: a processor without its own for it may run this, and a call would cost more. */
static size_t ones(uint64_t word)
{
    word -= word >> 1 & UINT64_C(0x5555555555555555);
    word = (word & UINT64_C(0x3333333333333333)) + (word >> 2 & UINT64_C(0x3333333333333333));
    word = (word + (word >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (size_t)(word * UINT64_C(0x0101010101010101) >> 56);
}

void dip_id_bits_count(const uint64_t *bits, size_t words, uint32_t *counts)
{
    size_t count = 0;
    for (size_t i = 0; i < words; i++) {
        if (i % DIP_ID_BLOCK == 0) counts[i / DIP_ID_BLOCK] = (uint32_t)count;
        count += ones(bits[i]);
    }
}

/* The block with a row: from where it would be if ids were spread evenly, in growing steps, then by halves. */
static size_t block_of(const dip_id_bits *b, size_t row)
{
    const size_t blocks = dip_id_bits_blocks(b->words);
    size_t low = (size_t)((double)row / (double)b->count * (double)blocks), high, step = 1;
    if (low >= blocks) low = blocks - 1;
    high = low + 1;
    for (; low && b->counts[low] > row; step *= 2) {
        high = low;
        low = low > step ? low - step : 0;
    }
    for (step = 1; high < blocks && b->counts[high] <= row; step *= 2) {
        low = high;
        high = blocks - high > step ? high + step : blocks;
    }
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (b->counts[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The word with a row; *left are the ones before it there. */
static size_t word_of(const dip_id_bits *b, size_t row, size_t *left)
{
    const size_t block = block_of(b, row);
    size_t word = block * DIP_ID_BLOCK;
    *left = row - b->counts[block];
    for (size_t n; word + 1 < b->words && *left >= (n = ones(b->bits[word])); word++) *left -= n;
    return word;
}

static uint64_t without_lowest(uint64_t word, size_t n)
{
    for (n = n < WORD ? n : WORD; n; n--) word &= word - 1;
    return word;
}

static uint64_t id_of(const dip_id_bits *b, size_t word, uint64_t ones_left)
{
    const unsigned bit = ones_left ? (unsigned)__builtin_ctzll(ones_left) : 0;
    return b->first + word * WORD + bit;
}

uint64_t dip_id_bits_at(const dip_id_bits *b, size_t row)
{
    size_t left, word = word_of(b, row, &left);
    return id_of(b, word, without_lowest(b->bits[word], left));
}

void dip_id_bits_copy(const dip_id_bits *b, size_t row, size_t n, uint64_t *out)
{
    size_t left, word = n ? word_of(b, row, &left) : 0;
    uint64_t bits = n ? without_lowest(b->bits[word], left) : 0;
    for (size_t i = 0; i < n; i++) {
        while (!bits && word + 1 < b->words) bits = b->bits[++word];
        out[i] = id_of(b, word, bits);
        bits &= bits - 1;
    }
}

void dip_id_bits_expect(const dip_id_bits *b, size_t row)
{
    const size_t word = block_of(b, row) * DIP_ID_BLOCK, left = b->words - word;
    dip_file_expect(b->bits + word, (left < DIP_ID_BLOCK ? left : DIP_ID_BLOCK) * sizeof *b->bits);
}

/* Moves to a word, which is not before the cursor's. */
static void move(const dip_id_bits *b, dip_id_cursor *c, size_t word)
{
    if (word / DIP_ID_BLOCK > c->word / DIP_ID_BLOCK) {
        c->word = word / DIP_ID_BLOCK * DIP_ID_BLOCK;
        c->rank = b->counts[word / DIP_ID_BLOCK];
    }
    for (; c->word < word; c->word++) c->rank += ones(b->bits[c->word]);
}

bool dip_id_bits_find(const dip_id_bits *b, dip_id_cursor *c, uint64_t id, size_t *row)
{
    if (id < b->first || (id - b->first) / WORD >= b->words) return false;
    const size_t word = (size_t)((id - b->first) / WORD);
    const uint64_t bit = UINT64_C(1) << (id - b->first) % WORD;
    move(b, c, word);
    *row = c->rank + ones(b->bits[word] & (bit - 1));
    return (b->bits[word] & bit) && *row < b->count;
}

/* Sets the bits of the rows of those ids of a word that are asked for; `rank`: of its first. Returns their number. */
static size_t mark_word(const dip_id_bits *b, uint64_t word, uint64_t asked, size_t rank,
                        uint64_t *rows)
{
    asked &= word;
    if (word == UINT64_MAX && rank < b->count && b->count - rank >= WORD) {
        rows[rank / WORD] |= asked << rank % WORD;
        if (rank % WORD) rows[rank / WORD + 1] |= asked >> (WORD - rank % WORD);
        return ones(asked);
    }
    size_t found = 0;
    for (; asked; asked &= asked - 1) {
        const size_t row = rank + ones(word & ((asked & -asked) - 1));
        if (row >= b->count) break;
        rows[row / WORD] |= UINT64_C(1) << row % WORD;
        found++;
    }
    return found;
}

size_t dip_id_bits_mark(const dip_id_bits *b, const uint64_t *wanted, size_t n, uint64_t *rows)
{
    dip_id_cursor c = {0, 0};
    size_t found = 0, i = dip_ids_lower_bound(wanted, n, b->first);
    while (i < n && (wanted[i] - b->first) / WORD < b->words) {
        const size_t word = (size_t)((wanted[i] - b->first) / WORD);
        uint64_t asked = 0;
        for (; i < n && (wanted[i] - b->first) / WORD == word; i++)
            asked |= UINT64_C(1) << (wanted[i] - b->first) % WORD;
        move(b, &c, word);
        found += mark_word(b, b->bits[word], asked, c.rank, rows);
    }
    return found;
}

bool dip_id_bits_fit(const dip_id_bits *b, uint64_t last)
{
    size_t count = 0;
    for (size_t i = 0; i < b->words; i++) {
        if (i % DIP_ID_BLOCK == 0 && b->counts[i / DIP_ID_BLOCK] != count) return false;
        count += ones(b->bits[i]);
    }
    const uint64_t end = last - b->first;
    return count == b->count && (b->bits[0] & 1) && b->bits[end / WORD] >> end % WORD == 1;
}
