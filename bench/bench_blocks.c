/* Bytes of an embedding, and the cost of a random read, by the number of ids in a block and by the form of the vectors. */
#define _POSIX_C_SOURCE 200809L
#include "bench/support.h"
#include "core/file.h"
#include "core/rng.h"
#include "storage/codec.h"
#include "storage/env.h"
#include "core/half.h"
#include "storage/record.h"

#include <diptych/archive.h>

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* clang-format off */
static const char usage[] =
    "usage: bench_blocks [--model ID] [--vectors 60000] [--dim 128] [--ids 16,32,64,124,128,256,512] ARCHIVE SCRATCH\n"
    "\n"
    "Bytes of an embedding, and the cost of a random read, by the number of ids in a block and by the form of the vectors.\n"
    "\n"
    "One JSON object a line. Vectors are the embeddings that ARCHIVE has of the model, over and over, or without --model random\n"
    "unit vectors. Two modalities take turns, so a block of n ids has n / 2 vectors. Forms: float16; int8 with one float32 scale a\n"
    "vector; both also with their bytes put plane by plane and packed by zstd 1. Each block is a checksummed record in an LMDB file\n"
    "SCRATCH (removed afterwards); a read looks it up, checks it, unpacks it if need be and makes one float32 unit vector.\n";
/* clang-format on */

enum { READS = 100, ROUNDS = 40, MAX_SIZES = 16 };
enum { HEAD = 22 }; /* as much as the product's blocks have between version and vectors */
enum { FLOAT16, INT8, FLOAT16_ZSTD, INT8_ZSTD, FORMS };
static const char *const form_names[FORMS] = {"float16", "int8", "float16 zstd", "int8 zstd"};

typedef struct bench {
    float *vectors;
    size_t n, dim;
    int form;
    size_t in_block; /* vectors */
    dip_env *env;
    dip_db db;
    dip_codec *codec;
    dip_rng rng;
    float *out;
    double payload; /* bytes of all vectors as stored */
} bench;

static void must(dip_status status)
{
    if (!status) return;
    fprintf(stderr, "bench_blocks: %s\n", dip_last_error());
    exit(1);
}

static void *memory(size_t count, size_t size)
{
    void *block = calloc(count ? count : 1, size);
    if (!block) exit(1);
    return block;
}

/* ---- vectors ---- */

static void make_vectors(bench *b)
{
    b->vectors = memory(b->n * b->dim, sizeof *b->vectors);
    for (size_t i = 0; i < b->n; i++) {
        float *v = b->vectors + i * b->dim;
        double sum = 0;
        for (size_t k = 0; k < b->dim; k++) {
            v[k] = (float)dip_rng_normal(&b->rng);
            sum += (double)v[k] * v[k];
        }
        for (size_t k = 0; k < b->dim; k++) v[k] /= (float)sqrt(sum);
    }
}

static void take_vectors(bench *b, const char *path, const char *model)
{
    dip_archive *archive;
    dip_embeddings all;
    must(dip_archive_open(&archive, path, DIP_ARCHIVE_READ));
    must(dip_archive_embeddings(archive, model, 0, &all));
    if (!all.n) {
        fprintf(stderr, "bench_blocks: '%s' has no embeddings of model '%s'\n", path, model);
        exit(1);
    }
    b->dim = all.dim;
    b->vectors = memory(b->n * b->dim, sizeof *b->vectors);
    for (size_t i = 0; i < b->n; i++)
        memcpy(b->vectors + i * b->dim, all.vectors + i % all.n * all.dim,
               b->dim * sizeof *b->vectors);
    dip_embeddings_fini(&all);
    dip_archive_close(archive);
}

/* ---- blocks ---- */

static size_t vector_bytes(const bench *b)
{
    return b->form % 2 == FLOAT16 ? 2 * b->dim : b->dim + sizeof(float);
}

static void put_vector(const bench *b, uint8_t *out, const float *v)
{
    if (b->form % 2 == FLOAT16) {
        uint16_t *halves = memory(b->dim, sizeof *halves);
        dip_half_pack(halves, v, b->dim);
        memcpy(out, halves, 2 * b->dim);
        free(halves);
        return;
    }
    float most = 1e-30f;
    for (size_t k = 0; k < b->dim; k++) most = fmaxf(most, fabsf(v[k]));
    const float scale = most / 127;
    memcpy(out, &scale, sizeof scale);
    for (size_t k = 0; k < b->dim; k++)
        out[sizeof scale + k] = (uint8_t)(int8_t)lrintf(v[k] / scale);
}

static void get_vector(bench *b, const uint8_t *in)
{
    if (b->form % 2 == FLOAT16) {
        dip_half_unpack(b->out, in, b->dim);
    } else {
        const int8_t *values = (const int8_t *)in + sizeof(float);
        for (size_t k = 0; k < b->dim; k++) b->out[k] = values[k];
    }
    float sum[8] = {0};
    for (size_t k = 0; k < b->dim; k++) sum[k % 8] += b->out[k] * b->out[k];
    for (int i = 1; i < 8; i++) sum[0] += sum[i];
    const float scale = sum[0] > 0 ? 1 / sqrtf(sum[0]) : 0;
    for (size_t k = 0; k < b->dim; k++) b->out[k] *= scale;
}

/* Bytes of pairs, or of single values, plane by plane. */
static void planes(uint8_t *out, const uint8_t *in, size_t n, size_t width, bool apart)
{
    const size_t count = n / width;
    for (size_t w = 0; w < width; w++)
        for (size_t i = 0; i < count; i++)
            if (apart)
                out[w * count + i] = in[i * width + w];
            else
                out[i * width + w] = in[w * count + i];
    memcpy(out + count * width, in + count * width, n - count * width);
}

static void put_block(bench *b, dip_write *write, uint64_t number, size_t first, size_t count)
{
    const size_t bytes = count * vector_bytes(b);
    uint8_t *raw = memory(bytes, 1);
    dip_out out = {.bytes = NULL};
    for (size_t i = 0; i < count; i++)
        put_vector(b, raw + i * vector_bytes(b), b->vectors + (first + i) * b->dim);
    dip_record_begin(&out, 'X', 1);
    dip_out_bytes(&out, (const uint8_t[HEAD]){0}, HEAD);
    if (b->form < FLOAT16_ZSTD) {
        dip_out_bytes(&out, raw, bytes);
    } else {
        size_t packed;
        uint8_t *apart = memory(bytes, 1), *room = memory(dip_codec_bound(bytes), 1);
        planes(apart, raw, bytes, b->form == FLOAT16_ZSTD ? 2 : 1, true);
        must(dip_codec_pack(b->codec, room, &packed, apart, bytes));
        dip_out_bytes(&out, room, packed);
        free(apart);
        free(room);
    }
    must(dip_record_seal(&out, number));
    const dip_id_key key = dip_key_of(number);
    must(dip_write_put(write, b->db, dip_key_bytes(&key), (dip_bytes){out.bytes, out.size}));
    b->payload += (double)out.size;
    dip_out_fini(&out);
    free(raw);
}

static void write_blocks(bench *b)
{
    dip_write *write;
    must(dip_write_begin(&write, b->env));
    must(dip_write_db(write, "blocks", &b->db));
    b->payload = 0;
    for (size_t first = 0, number = 0; first < b->n; first += b->in_block, number++)
        put_block(b, write, number, first, b->n - first < b->in_block ? b->n - first : b->in_block);
    must(dip_write_commit(write));
}

static void read_one(bench *b, const dip_txn *txn, size_t vector)
{
    const uint64_t number = vector / b->in_block;
    const size_t slot = vector % b->in_block;
    const dip_id_key key = dip_key_of(number);
    dip_bytes value;
    dip_in in;
    must(dip_txn_get(txn, b->db, dip_key_bytes(&key), &value));
    must(dip_record_open(&in, value.data, value.size, 'X', 1, number));
    dip_in_take(&in, HEAD);
    const size_t size = dip_in_left(&in), left = b->n - number * b->in_block;
    const uint8_t *stored = dip_in_take(&in, size);
    if (b->form < FLOAT16_ZSTD) {
        get_vector(b, stored + slot * vector_bytes(b));
        return;
    }
    const size_t bytes = (left < b->in_block ? left : b->in_block) * vector_bytes(b);
    uint8_t *scratch = dip_codec_borrow(b->codec, 2 * bytes);
    if (!scratch) exit(1);
    must(dip_codec_unpack(b->codec, scratch, bytes, stored, size));
    planes(scratch + bytes, scratch, bytes, b->form == FLOAT16_ZSTD ? 2 : 1, false);
    get_vector(b, scratch + bytes + slot * vector_bytes(b));
    dip_codec_return(b->codec, scratch);
}

static void read_some(void *context)
{
    bench *b = context;
    for (int round = 0; round < ROUNDS; round++) {
        dip_txn txn;
        must(dip_txn_begin(&txn, b->env));
        for (int i = 0; i < READS; i++) read_one(b, &txn, dip_rng_below(&b->rng, (uint32_t)b->n));
        dip_txn_end(&txn);
    }
}

/* What came back of the last vector, so that a wrong read does not count. */
static void check_last(bench *b)
{
    dip_txn txn;
    double dot = 0;
    must(dip_txn_begin(&txn, b->env));
    read_one(b, &txn, b->n - 1);
    dip_txn_end(&txn);
    for (size_t k = 0; k < b->dim; k++)
        dot += (double)b->out[k] * b->vectors[(b->n - 1) * b->dim + k];
    if (dot > 0.999) return;
    fprintf(stderr, "bench_blocks: a vector came back with cosine %g\n", dot);
    exit(1);
}

static void bench_size(bench *b, const char *scratch, size_t ids, const char *model)
{
    uint64_t bytes;
    dip_file_remove(scratch);
    if (mkdir(scratch, 0777) != 0) {
        fprintf(stderr, "bench_blocks: cannot make the folder '%s'\n", scratch);
        exit(1);
    }
    must(dip_env_create(scratch));
    must(dip_env_open(&b->env, scratch));
    must(dip_env_lock(b->env));
    b->in_block = ids > 1 ? ids / 2 : 1;
    write_blocks(b);
    must(dip_env_size(b->env, &bytes));
    check_last(b);
    read_some(b);
    const bench_timing t = bench_measure(read_some, b, 0.1, 3);
    printf("{\"what\":\"blocks\",\"model\":\"%s\",\"dim\":%zu,\"vectors\":%zu,\"form\":\"%s\","
           "\"ids\":%zu,\"record_bytes\":%.1f,\"file_bytes\":%.1f,\"read_us\":%.3f,"
           "\"read_cpu_us\":%.3f}\n",
           model ? model : "random", b->dim, b->n, form_names[b->form], ids,
           b->payload / (double)b->n, (double)bytes / (double)b->n,
           t.median * 1e6 / (READS * ROUNDS), t.cpu * 1e6 / (READS * ROUNDS));
    fflush(stdout);
    dip_env_unlock(b->env);
    dip_env_close(b->env);
    must(dip_file_remove(scratch));
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"model", required_argument, NULL, 'm'},
                                            {"vectors", required_argument, NULL, 'n'},
                                            {"dim", required_argument, NULL, 'd'},
                                            {"ids", required_argument, NULL, 'i'},
                                            {NULL, 0, NULL, 0}};
    size_t sizes[MAX_SIZES] = {16, 32, 64, 124, 128, 256, 512}, size_count = 7;
    bench b = {.n = 60000, .dim = 128};
    const char *model = NULL;
    bench_help(argc, argv, usage);
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'm') model = optarg;
        if (o == 'n') b.n = strtoul(optarg, NULL, 10);
        if (o == 'd') b.dim = strtoul(optarg, NULL, 10);
        if (o == '?') return bench_wrong_words(usage);
        if (o != 'i') continue;
        size_count = 0;
        for (char *w = strtok(optarg, ","); w && size_count < MAX_SIZES; w = strtok(NULL, ","))
            sizes[size_count++] = strtoul(w, NULL, 10);
    }
    if (argc - optind != 2 || !b.n || !b.dim) return bench_wrong_words(usage);
    dip_rng_init(&b.rng, 1, 0);
    must(dip_codec_create(&b.codec));
    if (model)
        take_vectors(&b, argv[optind], model);
    else
        make_vectors(&b);
    b.out = memory(b.dim, sizeof *b.out);
    for (b.form = 0; b.form < FORMS; b.form++)
        for (size_t i = 0; i < size_count; i++) bench_size(&b, argv[optind + 1], sizes[i], model);
    dip_codec_destroy(b.codec);
    free(b.vectors);
    free(b.out);
    return 0;
}
