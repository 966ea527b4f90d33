/*
 * Walks the trees of data.mdb; see pages.h for the layout.
 *
 * Each tree is walked in key order. Every page may be reached once (a bit a page), keys must rise strictly across
 * the whole tree, separators must divide them, and the sums must be those of the tree's record. The list of free
 * pages is a tree too; a page that is both free and in use is a fault, because the next write would destroy it.
 */
#define _GNU_SOURCE
#include "storage/pages.h"

#include "core/file.h"
#include "core/mem.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the archive's files are little-endian, and so must be the machine"
#endif

enum {
    MAGIC_AT = 16,
    HEADER_BYTES = 136, /* of a header page, after the 16 bytes of every page */
    PAGE_HEAD = 16,
    NODE_HEAD = 8,
    TREE_BYTES = 48,
    MAX_DEPTH = 32,
    MAX_KEY = 511,
    KIND_BRANCH = 1,
    KIND_LEAF = 2,
    KIND_LONG = 4,
    NODE_LONG = 1,
    NODE_TREE = 2,
    NODE_DUPLICATES = 4,
    FLAG_FIXED_MAP = 1
};
#define LMDB_MAGIC 0xBEEFC0DEu
#define NO_PAGE UINT64_MAX

static uint16_t get16(const uint8_t *at)
{
    uint16_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

typedef struct tree {
    uint32_t page_size; /* the `free` tree's only */
    uint16_t flags, depth;
    uint64_t branch_pages, leaf_pages, long_pages, entries, root;
} tree;

typedef struct header {
    tree free, main;
    uint64_t last_page, snapshot;
} header;

static tree read_tree(const uint8_t *at)
{
    return (tree){get32(at),      get16(at + 4),  get16(at + 6),  get64(at + 8),
                  get64(at + 16), get64(at + 24), get64(at + 32), get64(at + 40)};
}

static bool read_header(header *out, const uint8_t *page)
{
    if (get32(page + MAGIC_AT) != LMDB_MAGIC || get32(page + MAGIC_AT + 4) != 1) return false;
    out->free = read_tree(page + 40);
    out->main = read_tree(page + 88);
    out->last_page = get64(page + 136);
    out->snapshot = get64(page + 144);
    uint32_t size = out->free.page_size;
    /* A file with a fixed address would be mapped over whatever we have there. */
    return size >= 256 && size <= 65536 && (size & (size - 1)) == 0 &&
           !(out->free.flags & FLAG_FIXED_MAP);
}

static dip_status not_lmdb(const char *path)
{
    return dip_fail(
        DIP_EFORMAT,
        "'%s' is not an LMDB 0.9 file, or its header is damaged; restore it from a copy", path);
}

/* Both headers, from the file's first bytes; the second one's place follows from the first one's page size. */
static dip_status read_headers(header out[2], int fd, const char *path)
{
    uint8_t page[PAGE_HEAD + HEADER_BYTES];
    if (pread(fd, page, sizeof page, 0) != (ssize_t)sizeof page || !read_header(&out[0], page))
        return not_lmdb(path);
    uint32_t size = out[0].free.page_size;
    if (pread(fd, page, sizeof page, size) != (ssize_t)sizeof page || !read_header(&out[1], page) ||
        out[1].free.page_size != size)
        return not_lmdb(path);
    return DIP_OK;
}

static dip_status check_length(int fd, const char *path)
{
    header head[2];
    dip_status status = read_headers(head, fd, path);
    if (status) return status;
    const header *live = head[1].snapshot > head[0].snapshot ? &head[1] : &head[0];
    struct stat info; /* after the header: the file never shrinks below what a header says */
    if (fstat(fd, &info)) return dip_fail_errno("read", path);
    uint64_t pages = (uint64_t)info.st_size / live->free.page_size;
    if (live->last_page >= pages)
        return dip_fail(DIP_ECORRUPT,
                        "'%s' is truncated: %llu bytes, its header says %llu pages of %u bytes; "
                        "restore it from a copy",
                        path, (unsigned long long)info.st_size,
                        (unsigned long long)live->last_page + 1, live->free.page_size);
    return DIP_OK;
}

dip_status dip_pages_check_length(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return dip_fail_errno("open", path);
    dip_status status = check_length(fd, path);
    close(fd);
    return status;
}

/* ---- the walk ---- */

typedef struct walk {
    dip_map file;
    const char *path;
    header head;
    size_t page_size;
    uint8_t *seen, *spare; /* a bit a page: reached; on the free list */
    void (*report)(void *payload, const char *line);
    void *payload;
    uint64_t faults;
    bool stop_at_first, foreign;
    /* the tree at hand */
    const char *name;
    bool integer_keys;
    tree sums;
    const uint8_t *last_key;
    size_t last_length;
    bool last_is_separator;
} walk;

__attribute__((format(printf, 3, 4))) static void fault(walk *w, uint64_t page, const char *format,
                                                        ...)
{
    char what[200], line[400];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    w->faults++;
    snprintf(line, sizeof line,
             "store: page %llu of data.mdb, tree '%s': %s; restore the store from a copy",
             (unsigned long long)page, w->name, what);
    if (w->stop_at_first) dip_fail(DIP_ECORRUPT, "%s", line);
    if (w->report) w->report(w->payload, line);
}

static bool stopped(const walk *w) { return w->stop_at_first && w->faults; }

/* Marks `count` pages from `page` as used; false (and a fault) if they are outside or were used before. */
static bool take(walk *w, uint64_t page, uint64_t count, uint64_t from)
{
    if (page < 2 || page > w->head.last_page || count > w->head.last_page - page + 1) {
        fault(w, from, "it points to page %llu, outside of the file", (unsigned long long)page);
        return false;
    }
    for (uint64_t p = page; p < page + count; p++) {
        uint8_t bit = (uint8_t)(1u << (p & 7));
        if (w->seen[p >> 3] & bit) {
            fault(w, from, "it points to page %llu, which is in use elsewhere",
                  (unsigned long long)p);
            return false;
        }
        w->seen[p >> 3] |= bit;
    }
    return true;
}

static const uint8_t *page_at(const walk *w, uint64_t page)
{
    return w->file.bytes + page * w->page_size;
}

static int compare_keys(const walk *w, const uint8_t *a, size_t a_length, const uint8_t *b,
                        size_t b_length)
{
    if (w->integer_keys) {
        uint64_t x = get64(a), y = get64(b);
        return x < y ? -1 : x > y;
    }
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

/* Keys rise strictly, but the first key after a separator may equal it. */
static bool key_in_order(walk *w, const uint8_t *key, size_t length, bool separator)
{
    bool good = !w->integer_keys || length == 8;
    if (good && w->last_key) {
        int order = compare_keys(w, w->last_key, w->last_length, key, length);
        good = order < 0 || (order == 0 && w->last_is_separator && !separator);
    }
    w->last_key = key;
    w->last_length = length;
    w->last_is_separator = separator;
    return good;
}

/* Value of a leaf node; NULL after a fault. */
static const uint8_t *node_value(walk *w, uint64_t page, const uint8_t *node, size_t room,
                                 size_t *length)
{
    size_t key = get16(node + 6), flags = get16(node + 4);
    *length = get16(node) | (size_t)get16(node + 2) << 16;
    if (!(flags & NODE_LONG)) {
        if (NODE_HEAD + key + *length > room) {
            fault(w, page, "a value runs over the end of the page");
            return NULL;
        }
        return node + NODE_HEAD + key;
    }
    if (NODE_HEAD + key + 8 > room) {
        fault(w, page, "a node runs over the end of the page");
        return NULL;
    }
    uint64_t first = get64(node + NODE_HEAD + key);
    uint64_t count = (*length + PAGE_HEAD + w->page_size - 1) / w->page_size;
    if (!take(w, first, count, page)) return NULL;
    const uint8_t *at = page_at(w, first);
    if (get64(at) != first || get16(at + 10) != KIND_LONG || get32(at + 12) != count) {
        fault(w, first, "it should hold a long value and does not");
        return NULL;
    }
    w->sums.long_pages += count;
    return at + PAGE_HEAD;
}

typedef void (*entry_fn)(walk *w, uint64_t page, const uint8_t *key, size_t key_length,
                         unsigned flags, const uint8_t *value, size_t length);

static void walk_leaf(walk *w, uint64_t page, const uint8_t *node, size_t room, entry_fn entry)
{
    size_t key_length = get16(node + 6), length;
    unsigned flags = get16(node + 4);
    if (!key_in_order(w, node + NODE_HEAD, key_length, false)) {
        fault(w, page, "keys are out of order");
        return;
    }
    w->sums.entries++;
    if (flags & NODE_DUPLICATES || flags & ~7u) {
        fault(w, page, "a node has unknown flags %u", flags);
        return;
    }
    const uint8_t *value = node_value(w, page, node, room, &length);
    if (value && entry) entry(w, page, node + NODE_HEAD, key_length, flags, value, length);
}

static uint64_t child_of(const uint8_t *node)
{
    return get16(node) | (uint64_t)get16(node + 2) << 16 | (uint64_t)get16(node + 4) << 32;
}

/* A tree page's own head; the number of its nodes, or 0 after a fault. */
static size_t check_tree_page(walk *w, uint64_t page, unsigned wanted_kind)
{
    const uint8_t *at = page_at(w, page);
    size_t lower = get16(at + 12), upper = get16(at + 14);
    if (get64(at) != page || get16(at + 10) != wanted_kind) {
        fault(w, page, "its head is damaged (number %llu, kind %u)", (unsigned long long)get64(at),
              get16(at + 10));
        return 0;
    }
    if (lower < PAGE_HEAD + 2 || lower > upper || upper > w->page_size || lower & 1) {
        fault(w, page, "its bounds %zu..%zu are damaged", lower, upper);
        return 0;
    }
    return (lower - PAGE_HEAD) / 2;
}

/* The node at `index`; NULL after a fault. *room: bytes up to the page's end. */
static const uint8_t *node_at(walk *w, uint64_t page, size_t index, size_t *room)
{
    const uint8_t *at = page_at(w, page);
    size_t offset = get16(at + PAGE_HEAD + 2 * index);
    size_t upper = get16(at + 14);
    if (offset < upper || offset + NODE_HEAD > w->page_size || offset & 1) {
        fault(w, page, "node %zu lies outside of the page", index);
        return NULL;
    }
    *room = w->page_size - offset;
    size_t key_length = get16(at + offset + 6);
    if (NODE_HEAD + key_length > *room || key_length > MAX_KEY) {
        fault(w, page, "the key of node %zu is damaged", index);
        return NULL;
    }
    return at + offset;
}

static void walk_page(walk *w, uint64_t page, unsigned depth, entry_fn entry)
{
    bool leaf = depth == 1;
    size_t nodes = check_tree_page(w, page, leaf ? KIND_LEAF : KIND_BRANCH);
    *(leaf ? &w->sums.leaf_pages : &w->sums.branch_pages) += 1;
    for (size_t i = 0; i < nodes && !stopped(w); i++) {
        size_t room;
        const uint8_t *node = node_at(w, page, i, &room);
        if (!node) continue;
        if (leaf) {
            walk_leaf(w, page, node, room, entry);
            continue;
        }
        /* The first separator of a branch page is not used. */
        if (i && !key_in_order(w, node + NODE_HEAD, get16(node + 6), true)) {
            fault(w, page, "separators are out of order");
            return;
        }
        uint64_t child = child_of(node);
        if (take(w, child, 1, page)) walk_page(w, child, depth - 1, entry);
    }
}

static void walk_tree(walk *w, const char *name, const tree *t, entry_fn entry)
{
    w->name = name;
    w->sums = (tree){.entries = 0};
    w->last_key = NULL;
    w->last_is_separator = false;
    uint64_t before = w->faults;
    if (t->root != NO_PAGE) {
        if (t->depth == 0 || t->depth > MAX_DEPTH) {
            fault(w, t->root, "its depth %u is damaged", t->depth);
            return;
        }
        if (take(w, t->root, 1, 0)) walk_page(w, t->root, t->depth, entry);
    }
    const tree *s = &w->sums;
    if (w->faults == before && (s->entries != t->entries || s->branch_pages != t->branch_pages ||
                                s->leaf_pages != t->leaf_pages || s->long_pages != t->long_pages))
        fault(w, t->root, "it has %llu entries, its record says %llu",
              (unsigned long long)s->entries, (unsigned long long)t->entries);
}

/* ---- the three kinds of trees ---- */

static void check_name(walk *w, uint64_t page, const uint8_t *key, size_t key_length,
                       unsigned flags, const uint8_t *value, size_t length)
{
    if (!(flags & NODE_TREE)) {
        w->foreign = true;
        fault(w, page, "it holds other data, so this is no store of Diptych");
        return;
    }
    if (length != TREE_BYTES || read_tree(value).flags || memchr(key, 0, key_length))
        fault(w, page, "the record of a sub-database is damaged");
}

/* Called for each sub-database's record while the main tree is walked: the walk of that tree is put off. */
typedef struct branch_off {
    char name[MAX_KEY + 1];
    tree t;
} branch_off;

static dip_status collect(walk *w, branch_off **out, size_t *count)
{
    /* The main tree was checked: its leaves can be read without further care. */
    branch_off *list = NULL;
    size_t n = 0, capacity = 0;
    uint64_t stack[MAX_DEPTH][2];
    unsigned level = 0;
    const tree *t = &w->head.main;
    if (t->root != NO_PAGE) {
        stack[0][0] = t->root;
        stack[0][1] = 0;
        level = 1;
    }
    while (level) {
        uint64_t *top = stack[level - 1];
        const uint8_t *at = page_at(w, top[0]);
        if (top[1] == (size_t)(get16(at + 12) - PAGE_HEAD) / 2) {
            level--;
            continue;
        }
        const uint8_t *node = at + get16(at + PAGE_HEAD + 2 * top[1]++);
        if (level < t->depth) {
            stack[level][0] = child_of(node);
            stack[level][1] = 0;
            level++;
            continue;
        }
        if (dip_array_reserve((void **)&list, &capacity, n + 1, sizeof *list)) {
            dip_free(list);
            return DIP_ENOMEM;
        }
        size_t length = get16(node + 6);
        memcpy(list[n].name, node + NODE_HEAD, length);
        list[n].name[length] = '\0';
        list[n++].t = read_tree(node + NODE_HEAD + length);
    }
    *out = list;
    *count = n;
    return DIP_OK;
}

static void check_free_list(walk *w, uint64_t page, const uint8_t *key, size_t key_length,
                            unsigned flags, const uint8_t *value, size_t length)
{
    (void)key;
    if (key_length != 8 || flags & NODE_TREE || length < 8 || get64(value) > length / 8 - 1) {
        fault(w, page, "a list of free pages is damaged");
        return;
    }
    for (uint64_t i = 1; i <= get64(value); i++) {
        uint64_t p = get64(value + 8 * i);
        uint8_t bit = (uint8_t)(1u << (p & 7));
        if (p < 2 || p > w->head.last_page || w->spare[p >> 3] & bit) {
            fault(w, page, "page %llu is listed as free and cannot be", (unsigned long long)p);
            return;
        }
        w->spare[p >> 3] |= bit;
    }
}

static void check_overlap(walk *w)
{
    w->name = "free";
    for (uint64_t p = 2; p <= w->head.last_page; p++)
        if (w->seen[p >> 3] & w->spare[p >> 3] & (1u << (p & 7)))
            fault(w, p, "it is in use and listed as free");
}

/* Maps the file and finds the header of the snapshot. */
static dip_status open_walk(walk *w, const char *path, uint64_t snapshot)
{
    *w = (walk){.path = path};
    header head[2];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return dip_fail_errno("open", path);
    dip_status status = read_headers(head, fd, path);
    close(fd);
    if (status) return status;
    w->head = head[0].snapshot == snapshot ? head[0] : head[1];
    if (w->head.snapshot != snapshot)
        return dip_fail(DIP_EBUSY, "'%s' changes faster than it can be checked; try again later",
                        path);
    w->page_size = w->head.free.page_size;
    status = dip_file_map(&w->file, path);
    if (status) return status;
    if (w->head.last_page >= w->file.length / w->page_size) {
        dip_file_unmap(&w->file);
        return dip_fail(DIP_ECORRUPT, "'%s' is truncated; restore it from a copy", path);
    }
    size_t bits = (size_t)(w->head.last_page / 8 + 1);
    w->seen = dip_calloc(bits, 1);
    w->spare = dip_calloc(bits, 1);
    if (w->seen && w->spare) return DIP_OK;
    return DIP_ENOMEM;
}

static void close_walk(walk *w)
{
    dip_file_unmap(&w->file);
    dip_free(w->seen);
    dip_free(w->spare);
}

/* The walk of what every opening reads: the names, and the journal. */
static dip_status walk_small_trees(walk *w)
{
    branch_off *trees = NULL;
    size_t count = 0;
    w->stop_at_first = true;
    walk_tree(w, "main", &w->head.main, check_name);
    if (w->foreign || w->head.main.flags)
        return dip_fail(DIP_EFORMAT, "'%s' is an LMDB file, but not a store of Diptych", w->path);
    dip_status status = w->faults ? DIP_ECORRUPT : collect(w, &trees, &count);
    for (size_t i = 0; !status && i < count; i++) {
        if (strcmp(trees[i].name, "journal") != 0) continue;
        walk_tree(w, trees[i].name, &trees[i].t, NULL);
        if (w->faults) status = DIP_ECORRUPT;
    }
    dip_free(trees);
    return status;
}

dip_status dip_pages_check_small(const char *path, uint64_t snapshot)
{
    walk w;
    dip_status status = open_walk(&w, path, snapshot);
    if (!status) status = walk_small_trees(&w);
    close_walk(&w);
    return status;
}

dip_status dip_pages_check_all(const char *path, uint64_t snapshot,
                               void (*report)(void *payload, const char *line), void *payload,
                               uint64_t *faults)
{
    walk w;
    branch_off *trees = NULL;
    size_t count = 0;
    dip_status status = open_walk(&w, path, snapshot);
    if (status) goto out;
    w.report = report;
    w.payload = payload;
    walk_tree(&w, "main", &w.head.main, check_name);
    if (!w.faults) status = collect(&w, &trees, &count);
    for (size_t i = 0; !status && i < count; i++) walk_tree(&w, trees[i].name, &trees[i].t, NULL);
    if (!status) {
        w.integer_keys = true;
        walk_tree(&w, "free", &w.head.free, check_free_list);
        check_overlap(&w);
        *faults += w.faults;
    }
out:
    dip_free(trees);
    close_walk(&w);
    return status;
}
