/*
 * Recipes: steps from the best to the smallest, each tried against the memory; see recipe.h.
 *
 * The size of a native index is that of its file (segment.h), with half a block a list left empty on average and ids that follow each other.
 */
#include "index/recipe.h"

#include "core/format.h"
#include "index/coded.h"
#include "index/segment.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    EXACT_BELOW = 50000,
    POINTS_A_LIST = 39, /* what k-means wants at least */
    MAX_LISTS = 1 << 18,
    USUAL_CODES = 128,
    MAX_SUB_DIM = 16,
    SEED = 1,
};

/*
 * The power of two nearest to sqrt(n), four times that for the native engine, but with enough vectors a list. FAISS's
 * residual fast scan makes a look-up table for each list that it probes, which costs as much as some thousand
 * codes; the native engine makes one a query, so its lists are finer.
 */
static uint32_t choose_lists(size_t n, dip_engine engine)
{
    double wanted = sqrt((double)n) * (engine == DIP_ENGINE_NATIVE ? 4 : 1);
    uint32_t lists = 1;
    while (lists < MAX_LISTS && lists * sqrt(2) < wanted) lists *= 2;
    while (lists > 1 && lists > n / POINTS_A_LIST) lists /= 2;
    return lists;
}

/* `least` dimensions a code or a few more, so that they divide `dim` and there are at most 128 codes; 0: none will do. */
static uint32_t choose_codes(size_t dim, size_t least)
{
    for (size_t sub = least; sub <= MAX_SUB_DIM; sub++)
        if (dim % sub == 0 && dim / sub <= USUAL_CODES) return (uint32_t)(dim / sub);
    return 0;
}

/* Two dimensions a code, if it can be; of a number of dimensions without a small divisor, the most codes that are possible. */
static uint32_t most_codes(size_t dim)
{
    uint32_t usual = choose_codes(dim, 2);
    if (usual) return usual;
    size_t codes = dim < DIP_MOST_CODES ? dim : DIP_MOST_CODES;
    while (dim % codes) codes--;
    return (uint32_t)codes;
}

/* What the plan's recipe takes. */
static void estimate(dip_index_plan *plan, size_t n, size_t dim)
{
    const dip_index_recipe *r = &plan->recipe;
    uint64_t offsets[DIP_SEGMENT_SECTIONS], bytes[DIP_SEGMENT_SECTIONS];
    dip_segment_shape shape = {.dim = (uint32_t)dim,
                               .lists = r->lists,
                               .groups = (uint32_t)sqrt((double)r->lists),
                               .code_count = r->code_count,
                               .refinement = r->refinement,
                               .blocks = (uint32_t)(n / DIP_NATIVE_BLOCK + r->lists / 2 + 1),
                               .count = n,
                               .last_id = n ? n - 1 : 0};
    switch (r->engine) {
    case DIP_ENGINE_NATIVE:
        plan->disk = dip_segment_layout(&shape, offsets, bytes);
        plan->memory = plan->disk;
        if (plan->refine_from_disk) plan->memory -= bytes[DIP_SEGMENT_REFINEMENT];
        break;
    case DIP_ENGINE_FAISS: /* lists; codes, FAISS's ids, halves, our ids */
        plan->disk = (uint64_t)r->lists * dim * 4 + n * (r->code_count / 2 + 8 + 2 * dim + 8);
        plan->memory = plan->disk;
        break;
    default: plan->memory = plan->disk = n * (4 * (uint64_t)dim + 8); break;
    }
}

static bool fits(dip_index_plan *plan, const dip_index_recipe *asked, size_t n, size_t dim)
{
    estimate(plan, n, dim);
    return !asked->memory || plan->memory <= asked->memory;
}

static void add(dip_index_plan *plan, bool holds, const char *between, const char *words)
{
    size_t used = strlen(plan->why);
    if (holds) snprintf(plan->why + used, sizeof plan->why - used, "%s%s", between, words);
}

/* Steps 2 to 5, for lists and codes that are chosen. */
static bool choose_refinement(dip_index_plan *plan, const dip_index_recipe *asked, size_t n,
                              size_t dim)
{
    dip_index_recipe *r = &plan->recipe;
    bool precise = asked->recall > DIP_INT8_RECALL;
    if (asked->refinement != DIP_REFINE_AUTO) return fits(plan, asked, n, dim);
    r->refinement = precise ? DIP_REFINE_HALF : DIP_REFINE_INT8;
    if (fits(plan, asked, n, dim)) return true;
    if (!precise) return false;
    r->refinement = DIP_REFINE_INT8;
    return fits(plan, asked, n, dim);
}

/* The longest codes with which it fits. */
static bool choose_sizes(dip_index_plan *plan, const dip_index_recipe *asked, size_t n, size_t dim)
{
    uint32_t codes = asked->code_count ? asked->code_count : most_codes(dim);
    while (codes) {
        plan->recipe.code_count = codes;
        if (choose_refinement(plan, asked, n, dim)) return true;
        codes = asked->code_count ? 0 : choose_codes(dim, 2 * (dim / codes));
    }
    return false;
}

static void explain(dip_index_plan *plan, const dip_index_recipe *asked, size_t n, size_t dim)
{
    const dip_index_recipe *r = &plan->recipe;
    bool exact = r->engine == DIP_ENGINE_EXACT, native = r->engine == DIP_ENGINE_NATIVE;
    bool precise = native && !asked->refinement && asked->recall > DIP_INT8_RECALL;
    const char *ground = asked->engine        ? "as asked for"
                         : exact              ? "few vectors: compares all"
                         : n < r->exact_below ? "inverted lists"
                                              : "many vectors: inverted lists";
    const struct {
        bool holds;
        const char *words;
    } savings[] = {
        {!exact && !asked->engine && n < r->exact_below, "does not compare all"},
        {precise && r->refinement == DIP_REFINE_INT8, "refines by bytes"},
        {!exact && !asked->code_count && r->code_count < most_codes(dim), "shorter codes"},
        {plan->refine_from_disk, "refinement stays on disk"},
    };
    bool saved = false;
    add(plan, true, "", ground);
    add(plan, precise && r->refinement == DIP_REFINE_HALF, "; ", "high recall: refines by halves");
    for (size_t i = 0; i < sizeof savings / sizeof *savings; i++) {
        add(plan, savings[i].holds, saved ? ", " : "; to save memory: ", savings[i].words);
        saved |= savings[i].holds;
    }
}

static dip_status too_little(dip_index_plan *plan, const dip_index_recipe *asked, size_t n,
                             size_t dim)
{
    char least[32], memory[32];
    estimate(plan, n, dim);
    dip_format_bytes(plan->memory, least, sizeof least);
    dip_format_bytes(asked->memory, memory, sizeof memory);
    return dip_fail(DIP_EINVAL,
                    "an index of %zu vectors of %zu dimensions%s takes %s of memory, and %s are "
                    "left for it; give it more with --memory, or index fewer tiles",
                    n, dim, asked->engine || asked->code_count ? " as asked for" : "", least,
                    memory);
}

static dip_status plan_lists(dip_index_plan *plan, const dip_index_recipe *asked, size_t n,
                             size_t dim)
{
    if (asked->code_count > DIP_MOST_CODES)
        return dip_fail(DIP_EINVAL, "%u codes a vector are too many; at most %d are possible",
                        asked->code_count, DIP_MOST_CODES);
    if (asked->code_count && dim % asked->code_count)
        return dip_fail(DIP_EINVAL, "%u codes do not divide a vector of %zu dimensions",
                        asked->code_count, dim);
    if (choose_sizes(plan, asked, n, dim)) return DIP_OK;
    plan->refine_from_disk = plan->recipe.engine == DIP_ENGINE_NATIVE;
    if (plan->refine_from_disk && choose_sizes(plan, asked, n, dim)) return DIP_OK;
    return too_little(plan, asked, n, dim);
}

static dip_engine choose_engine(dip_index_plan *plan, const dip_index_recipe *asked, size_t n,
                                size_t dim)
{
    if (asked->engine != DIP_ENGINE_AUTO) return asked->engine;
    if (n < DIP_FAISS_LEAST) return DIP_ENGINE_EXACT;
    plan->recipe.engine = DIP_ENGINE_EXACT;
    bool exact = n < plan->recipe.exact_below && fits(plan, asked, n, dim);
    return exact ? DIP_ENGINE_EXACT : DIP_ENGINE_NATIVE;
}

dip_status dip_index_plan_make(dip_index_plan *out, const dip_index_recipe *recipe, size_t n,
                               size_t dim)
{
    dip_index_plan plan = {.recipe = *recipe};
    dip_index_recipe *r = &plan.recipe;
    dip_status status = DIP_OK;
    if (!r->exact_below) r->exact_below = EXACT_BELOW;
    if (!r->seed) r->seed = SEED;
    r->engine = choose_engine(&plan, recipe, n, dim);
    if (!r->lists) r->lists = choose_lists(n, r->engine);
    if (r->lists > n) r->lists = n ? (uint32_t)n : 1;
    if (r->engine != DIP_ENGINE_EXACT)
        status = plan_lists(&plan, recipe, n, dim);
    else if (!fits(&plan, recipe, n, dim))
        status = too_little(&plan, recipe, n, dim);
    if (status) return status;
    if (!r->code_count) r->code_count = most_codes(dim);
    if (r->refinement == DIP_REFINE_AUTO) r->refinement = DIP_REFINE_INT8;
    explain(&plan, recipe, n, dim);
    *out = plan;
    return DIP_OK;
}
