/*
 * Runs a pass: cuts the images into tasks, a task into bands, a band into blocks; see conv.h.
 *
 * A row of a block is one point of the output. How its window gets under the block product depends on the
 * width of the map:
 *
 *   RUNS    wide maps: 16 neighbours along a row of a zero-padded copy; a row of taps is one contiguous run of k.
 *   IMAGES  narrow maps, images in sixteens: the same point of 16 images. Nothing is copied, and taps that fall
 *           outside the image are left out instead of multiplied by zero (a third of the work at 4x4).
 *   GATHER  all else (few input channels, few images): windows copied into rows.
 *
 * All three add the same products in the same order, so a result does not depend on which of them made it.
 *
 * Task t is a chunk of images, with few images a part of each, and a group of output channels. All cuts depend on the
 * pass and the number of images alone; each part of a chunk has its own partial sums, added in order.
 */
#include "encoder/conv.h"

#include "core/parallel.h"

enum {
    RUNS_MIN_COLUMNS = 17,
    IMAGES_CHUNK = 32,
    GATHER_ROWS = 192,      /* points gathered at a time */
    BAND_BYTES = 96 * 1024, /* padded rows held at a time; half of a small L2 cache */
    IMAGES_TASKS = 64,      /* wanted; a task of IMAGES prepares nothing */
    FEW_TASKS = 8,          /* wanted of the others */
    RUNS_SLACK = DIP_HALF   /* pixels readable past the padded rows, in strides */
};

typedef enum mode { RUNS, IMAGES, GATHER } mode;

typedef struct conv_block {
    const dip_bf16 *a[2];
    unsigned rows[2], segments, steps;
    size_t b; /* of the first panel, from the first panel of the column */
} conv_block;

typedef struct conv_plan {
    const dip_workspace *workspace;
    const dip_conv_job *job;
    mode mode;
    size_t chunk;  /* images */
    size_t parts;  /* of a chunk */
    size_t chunks; /* parts of all chunks */
    size_t groups; /* of output channels */
    size_t depth;
} conv_plan;

/* What a worker fills for one band. */
typedef struct conv_band {
    dip_product product; /* strides; the rest is set block by block */
    conv_block *blocks;
    uint32_t *pixels; /* (blocks, 32) */
    size_t count, capacity;
    float *c;
    dip_bf16 *store; /* padded or gathered pixels */
    dip_gather gather;
} conv_band;

/* ---- sizes ---- */

static mode pass_mode(const dip_conv_pass *p)
{
    if (p->channels % DIP_BLOCK) return GATHER;
    return p->columns >= RUNS_MIN_COLUMNS ? RUNS : IMAGES;
}

static size_t points(const dip_conv_pass *p) { return (size_t)p->rows * p->columns; }

static size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

/* Output rows of a band of RUNS. */
static size_t band_rows(const dip_conv_pass *p)
{
    size_t line = dip_conv_padded_width(p) * p->channels * sizeof(dip_bf16);
    size_t rows = BAND_BYTES / line;
    rows = rows > p->taps_y ? (rows - p->taps_y) / p->stride + 1 : 1;
    return rows < p->rows ? rows : p->rows;
}

static size_t band_lines(const dip_conv_pass *p, size_t rows)
{
    return (rows - 1) * p->stride + p->taps_y;
}

static size_t gather_stride(const dip_conv_pass *p) { return dip_conv_pass_depth(p) + DIP_BLOCK; }

static size_t store_bytes(const dip_conv_pass *p)
{
    size_t line = dip_conv_padded_width(p), rows = band_rows(p);
    size_t runs = (band_lines(p, rows) * line + RUNS_SLACK * p->stride) * p->channels;
    size_t gathered = (GATHER_ROWS + DIP_BLOCK) * gather_stride(p);
    if (pass_mode(p) != RUNS) return gathered * sizeof(dip_bf16);
    return runs * sizeof(dip_bf16);
}

static size_t block_capacity(const dip_conv_pass *p)
{
    /* one more for each change of window */
    size_t runs = divide_up(p->columns, DIP_HALF) * band_rows(p) / 2 + 1 + 2 * DIP_MAX_KERNEL;
    size_t images = points(p), gather = GATHER_ROWS / DIP_BLOCK + 1;
    if (pass_mode(p) == RUNS) return runs;
    return images > gather ? images : gather;
}

size_t dip_conv_scratch(const dip_conv_pass *p)
{
    const size_t blocks = block_capacity(p);
    size_t bytes = blocks * (sizeof(conv_block) + DIP_BLOCK * sizeof(uint32_t)) + store_bytes(p);
    if (pass_mode(p) != RUNS) bytes += dip_gather_bytes(p);
    return bytes + DIP_PANEL * sizeof(float) + 64 * 8;
}

static size_t chunk_images(const dip_conv_pass *p, size_t images)
{
    const mode m = pass_mode(p);
    if (m == RUNS) return 1;
    if (m == IMAGES && images >= DIP_HALF) return IMAGES_CHUNK;
    return divide_up(GATHER_ROWS, points(p));
}

/* So that a few images keep some workers busy: parts of an image's rows or points. */
static size_t chunk_parts(const dip_conv_pass *p, size_t chunks)
{
    const size_t most = pass_mode(p) == RUNS ? p->rows : divide_up(points(p), GATHER_ROWS);
    const size_t parts = pass_mode(p) == IMAGES ? 1 : divide_up(FEW_TASKS, chunks);
    return parts < most ? parts : most;
}

/* Enough for any smaller number of images too: those that are cut into parts make fewer than 2 * FEW_TASKS. */
size_t dip_conv_partials(const dip_conv_pass *p, size_t images)
{
    const size_t chunks = divide_up(images, chunk_images(p, images));
    const size_t parts = chunks > 2 * FEW_TASKS ? chunks : 2 * FEW_TASKS;
    return parts * 2 * p->out_channels;
}

/* ---- bands ---- */

static void carve(conv_band *b, const dip_conv_pass *p, char *scratch)
{
    b->capacity = block_capacity(p);
    b->blocks = dip_carve(&scratch, b->capacity * sizeof *b->blocks);
    b->pixels = dip_carve(&scratch, b->capacity * DIP_BLOCK * sizeof *b->pixels);
    b->c = dip_carve(&scratch, DIP_PANEL * sizeof *b->c);
    b->store = dip_carve(&scratch, store_bytes(p));
    b->gather = (dip_gather){.pass = p,
                             .padded = (dip_bf16 *)scratch,
                             .image = SIZE_MAX,
                             .row_stride = gather_stride(p)};
}

static uint32_t pixel_at(const dip_conv_pass *p, size_t image, size_t row, size_t column)
{
    size_t y = row * p->step + p->first_y, x = column * p->step + p->first_x;
    return (uint32_t)((image * p->out_height + y) * p->out_width + x);
}

/* Taps of a half block, and where the first one's panels are. */
typedef struct window {
    unsigned segments, steps;
    size_t b;
} window;

/* The next half block. Two that follow each other and have one window become one block. Returns its first pixel. */
static uint32_t *add_half(conv_band *b, const dip_bf16 *a, unsigned rows, window w)
{
    conv_block *last = &b->blocks[b->count];
    if (b->count && !last[-1].rows[1] && last[-1].segments == w.segments &&
        last[-1].steps == w.steps && last[-1].b == w.b) {
        last[-1].a[1] = a;
        last[-1].rows[1] = rows;
        return b->pixels + (b->count - 1) * DIP_BLOCK + DIP_HALF;
    }
    *last = (conv_block){
        .a = {a, a}, .rows = {rows, 0}, .segments = w.segments, .steps = w.steps, .b = w.b};
    return b->pixels + b->count++ * DIP_BLOCK;
}

/* Taps [*begin, *end) that meet the image when the window starts `at` - before. */
static void clip_taps(size_t at, size_t before, size_t taps, size_t length, size_t *begin,
                      size_t *end)
{
    *begin = before > at ? before - at : 0;
    *end = length + before > at ? length + before - at : 0;
    if (*end > taps) *end = taps;
    if (*begin > *end) *begin = *end;
}

/* Whether 16 neighbours can be read from the image itself, without a border and without running over its end. */
static bool needs_no_copy(const dip_conv_pass *p)
{
    return p->top == 0 && p->left == 0 && p->columns % DIP_HALF == 0 &&
           dip_conv_padded_width(p) <= p->width && dip_conv_padded_height(p) <= p->height;
}

/* Padded rows under output rows [first, first + count); *line: values from one to the next. */
static const dip_bf16 *padded_rows(conv_band *b, const dip_conv_job *job, size_t image,
                                   size_t first, size_t count, size_t *line)
{
    const dip_conv_pass *p = job->pass;
    const dip_bf16 *from = job->in + image * p->height * p->width * p->channels;
    if (needs_no_copy(p)) {
        *line = (size_t)p->width * p->channels;
        return from + first * p->stride * *line;
    }
    const size_t lines = band_lines(p, count);
    *line = dip_conv_padded_width(p) * p->channels;
    dip_conv_pad(p, from, first * p->stride, lines, b->store);
    memset(b->store + lines * *line, 0, RUNS_SLACK * p->stride * p->channels * sizeof(dip_bf16));
    return b->store;
}

/* Output rows [first, first + count) of one image. Rows of taps above and below the image are left out. */
static void band_of_runs(conv_band *b, const dip_conv_job *job, size_t image, size_t first,
                         size_t count)
{
    const dip_conv_pass *p = job->pass;
    const size_t step = (size_t)p->stride * p->channels;
    const unsigned steps = (unsigned)(p->taps_x * p->channels / DIP_BLOCK);
    size_t line, y0, y1;
    const dip_bf16 *lines = padded_rows(b, job, image, first, count, &line);
    b->count = 0;
    for (size_t i = 0; i < count; i++) {
        clip_taps((first + i) * p->stride, p->top, p->taps_y, p->height, &y0, &y1);
        const dip_bf16 *a = lines + (i * p->stride + y0) * line;
        const window w = {(unsigned)(y1 - y0), steps, y0 * steps * DIP_PANEL};
        for (size_t j = 0; j < p->columns; j += DIP_HALF) {
            const size_t rows = p->columns - j < DIP_HALF ? p->columns - j : DIP_HALF;
            uint32_t *pixels = add_half(b, a + j * step, (unsigned)rows, w);
            for (size_t r = 0; r < rows; r++) pixels[r] = pixel_at(p, image, first + i, j + r);
        }
    }
    b->product.a_row = (ptrdiff_t)step;
    b->product.a_segment = (ptrdiff_t)line;
    b->product.b_segment = (ptrdiff_t)steps * DIP_PANEL;
}

/* One point of `images` images, in sixteens. */
static void point_of_images(conv_band *b, const dip_conv_job *job, size_t image, size_t images,
                            size_t i, size_t j)
{
    const dip_conv_pass *p = job->pass;
    const size_t C = p->channels, area = (size_t)p->height * p->width * C;
    size_t y0, y1, x0, x1;
    clip_taps(i * p->stride, p->top, p->taps_y, p->height, &y0, &y1);
    clip_taps(j * p->stride, p->left, p->taps_x, p->width, &x0, &x1);
    const bool empty = y0 == y1 || x0 == x1;
    size_t y = empty ? 0 : i * p->stride + y0 - p->top,
           x = empty ? 0 : j * p->stride + x0 - p->left;
    const window w = {empty ? 0 : (unsigned)(y1 - y0), (unsigned)((x1 - x0) * C / DIP_BLOCK),
                      (y0 * p->taps_x + x0) * C * DIP_BLOCK};
    for (size_t n = 0; n < images; n += DIP_HALF) {
        const dip_bf16 *a = job->in + (image + n) * area + (y * p->width + x) * C;
        uint32_t *pixels = add_half(b, a, DIP_HALF, w);
        for (size_t r = 0; r < DIP_HALF; r++) pixels[r] = pixel_at(p, image + n + r, i, j);
    }
}

static void band_of_images(conv_band *b, const dip_conv_job *job, size_t image, size_t images)
{
    const dip_conv_pass *p = job->pass;
    b->count = 0;
    for (size_t i = 0; i < p->rows; i++)
        for (size_t j = 0; j < p->columns; j++) point_of_images(b, job, image, images, i, j);
    b->product.a_row = (ptrdiff_t)((size_t)p->height * p->width * p->channels);
    b->product.a_segment = (ptrdiff_t)((size_t)p->width * p->channels);
    b->product.b_segment = (ptrdiff_t)((size_t)p->taps_x * p->channels * DIP_BLOCK);
}

/* Points [first, first + count), numbered over all images. */
static void band_of_gathered(conv_band *b, const dip_conv_job *job, size_t first, size_t count)
{
    const dip_conv_pass *p = job->pass;
    b->gather.in = job->in;
    dip_gather_rows(&b->gather, first, count, b->store);
    b->count = 0;
    const window w = {1, (unsigned)(dip_conv_pass_depth(p) / DIP_BLOCK), 0};
    for (size_t n = 0; n < count; n += DIP_HALF) {
        const size_t rows = count - n < DIP_HALF ? count - n : DIP_HALF;
        const dip_bf16 *a = b->store + n * b->gather.row_stride;
        uint32_t *pixels = add_half(b, a, (unsigned)rows, w);
        for (size_t r = 0; r < rows; r++) {
            const size_t point = first + n + r, within = point % points(p);
            pixels[r] = pixel_at(p, point / points(p), within / p->columns, within % p->columns);
        }
    }
    b->product.a_row = (ptrdiff_t)b->gather.row_stride;
}

/* ---- products ---- */

static void add_sums(float *partial, const float *sums, size_t channels, size_t column)
{
    for (size_t c = 0; c < DIP_BLOCK; c++) {
        partial[column + c] += sums[c];
        partial[channels + column + c] += sums[DIP_BLOCK + c];
    }
}

static void run_column(const conv_plan *plan, conv_band *b, size_t column, float *partial)
{
    const dip_conv_job *job = plan->job;
    const dip_kernel *kernel = plan->workspace->kernel;
    const dip_bf16 *panels = job->panels + column * plan->depth;
    void (*const multiply)(const dip_product *) =
        job->finish.kind == DIP_FINISH_INT8 ? kernel->product->int8 : kernel->product->bf16;
    float sums[2 * DIP_BLOCK] = {0};
    dip_product product = b->product;
    product.a_step = DIP_BLOCK;
    product.b_step = DIP_PANEL;
    product.b_half = DIP_TILE;
    product.c = b->c;
    product.c_row = DIP_BLOCK;
    dip_finish_block done = {.c = b->c,
                             .out = job->out,
                             .channels = job->pass->out_channels,
                             .column = column,
                             .sums = sums};
    for (size_t i = 0; i < b->count; i++) {
        const conv_block *block = &b->blocks[i];
        memcpy(product.a, block->a, sizeof product.a);
        memcpy(product.rows, block->rows, sizeof product.rows);
        product.b = panels + block->b;
        product.segments = block->segments;
        product.steps = block->steps;
        multiply(&product);
        done.rows = block->rows;
        done.pixel = b->pixels + i * DIP_BLOCK;
        kernel->loops->finish(&job->finish, &done);
    }
    if (job->sums) add_sums(partial, sums, job->pass->out_channels, column);
}

static void run_band(const conv_plan *plan, conv_band *b, size_t chunk, size_t group)
{
    const size_t channels = plan->job->pass->out_channels, panels = channels / DIP_BLOCK;
    const size_t first = panels * group / plan->groups, last = panels * (group + 1) / plan->groups;
    float *partial = plan->workspace->partials + chunk * 2 * channels;
    for (size_t n = first; n < last; n++) run_column(plan, b, n * DIP_BLOCK, partial);
}

static void clear_partials(const conv_plan *plan, size_t chunk, size_t group)
{
    const size_t channels = plan->job->pass->out_channels, panels = channels / DIP_BLOCK;
    const size_t first = panels * group / plan->groups * DIP_BLOCK;
    const size_t last = panels * (group + 1) / plan->groups * DIP_BLOCK;
    float *partial = plan->workspace->partials + chunk * 2 * channels;
    memset(partial + first, 0, (last - first) * sizeof *partial);
    memset(partial + channels + first, 0, (last - first) * sizeof *partial);
}

/* Images [*first, *last) of a chunk, and where one part of [0, length) of it begins and ends. */
typedef struct share {
    size_t first, last, begin, end;
} share;

static share share_of(const conv_plan *plan, size_t chunk, size_t length)
{
    const size_t part = chunk % plan->parts;
    share s = {.first = chunk / plan->parts * plan->chunk};
    s.last = s.first + plan->chunk < plan->job->images ? s.first + plan->chunk : plan->job->images;
    s.begin = length * part / plan->parts;
    s.end = length * (part + 1) / plan->parts;
    return s;
}

static void run_runs(const conv_plan *plan, conv_band *b, size_t chunk, size_t group)
{
    const dip_conv_pass *p = plan->job->pass;
    const share s = share_of(plan, chunk, p->rows);
    const size_t step = band_rows(p);
    for (size_t row = s.begin; row < s.end; row += step) {
        band_of_runs(b, plan->job, s.first, row, s.end - row < step ? s.end - row : step);
        run_band(plan, b, chunk, group);
    }
}

static void run_gathered(const conv_plan *plan, conv_band *b, size_t chunk, size_t group)
{
    const size_t all = points(plan->job->pass);
    const share images = share_of(plan, chunk, 0);
    const share s = share_of(plan, chunk, (images.last - images.first) * all);
    const size_t end = s.first * all + s.end;
    for (size_t n = s.first * all + s.begin; n < end; n += GATHER_ROWS) {
        band_of_gathered(b, plan->job, n, end - n < GATHER_ROWS ? end - n : GATHER_ROWS);
        run_band(plan, b, chunk, group);
    }
}

static dip_status task(void *context, size_t number, unsigned worker)
{
    const conv_plan *plan = context;
    const size_t chunk = number / plan->groups, group = number % plan->groups;
    const share s = share_of(plan, chunk, 0);
    conv_band b = {.count = 0};
    carve(&b, plan->job->pass, dip_workspace_scratch(plan->workspace, worker));
    if (plan->job->sums) clear_partials(plan, chunk, group);
    plan->workspace->kernel->product->enter();
    if (plan->mode == RUNS) {
        run_runs(plan, &b, chunk, group);
    } else if (plan->mode == IMAGES && (s.last - s.first) % DIP_HALF == 0) {
        band_of_images(&b, plan->job, s.first, s.last - s.first);
        run_band(plan, &b, chunk, group);
    } else {
        run_gathered(plan, &b, chunk, group);
    }
    plan->workspace->kernel->product->leave();
    return DIP_OK;
}

void dip_conv_run(const dip_workspace *workspace, const dip_conv_job *job)
{
    const dip_conv_pass *p = job->pass;
    const size_t panels = p->out_channels / DIP_BLOCK;
    conv_plan plan = {.workspace = workspace,
                      .job = job,
                      .mode = pass_mode(p),
                      .chunk = chunk_images(p, job->images),
                      .depth = dip_conv_pass_depth(p)};
    const size_t chunks = divide_up(job->images, plan.chunk);
    plan.parts = chunk_parts(p, chunks);
    plan.chunks = chunks * plan.parts;
    const size_t wanted = plan.mode == IMAGES ? IMAGES_TASKS : FEW_TASKS;
    plan.groups = plan.mode == RUNS ? 1 : divide_up(wanted, plan.chunks);
    if (plan.groups > panels) plan.groups = panels;
    dip_parallel_for(plan.chunks * plan.groups, task, &plan);
    if (job->sums) dip_workspace_total(workspace, plan.chunks, 2 * p->out_channels, job->sums);
}
