/* Recipes: what is chosen from n, dim, memory and recall, and that a choice takes the memory it said. */
#define _GNU_SOURCE
#include "tests/index/support.h"

#include "core/file.h"
#include "index/recipe.h"

static const uint64_t MB = 1000000;

static dip_index_plan plan_of(const dip_index_recipe *recipe, size_t n, size_t dim)
{
    dip_index_plan plan;
    assert_ok(dip_index_plan_make(&plan, recipe, n, dim));
    if (recipe->memory) assert_true(plan.memory <= recipe->memory);
    assert_true(plan.why[0] && plan.memory <= plan.disk);
    return plan;
}

static void sizes_follow_from_n_and_dim(void **state)
{
    (void)state;
    static const struct {
        size_t n, dim;
        uint32_t lists, codes;
        dip_engine engine;
    } cases[] = {
        {49999, 128, 256, 64, DIP_ENGINE_EXACT},     {50000, 128, 1024, 64, DIP_ENGINE_NATIVE},
        {1000000, 128, 4096, 64, DIP_ENGINE_NATIVE}, {10000000, 128, 16384, 64, DIP_ENGINE_NATIVE},
        {100, 64, 2, 32, DIP_ENGINE_EXACT},          {0, 64, 1, 32, DIP_ENGINE_EXACT},
        {60000, 256, 1024, 128, DIP_ENGINE_NATIVE},  {60000, 512, 1024, 128, DIP_ENGINE_NATIVE},
        {60000, 33, 1024, 11, DIP_ENGINE_NATIVE},    {60000, 31, 1024, 31, DIP_ENGINE_NATIVE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_index_plan plan = plan_of(&(dip_index_recipe){.seed = 0}, cases[i].n, cases[i].dim);
        assert_int_equal(plan.recipe.lists, cases[i].lists);
        assert_int_equal(plan.recipe.code_count, cases[i].codes);
        assert_int_equal(plan.recipe.engine, cases[i].engine);
        assert_int_equal(plan.recipe.refinement, DIP_REFINE_INT8);
        assert_true(plan.recipe.lists == 1 || cases[i].n / plan.recipe.lists >= 39);
    }
    dip_index_plan few = plan_of(&(dip_index_recipe){.exact_below = 10}, 63, 8);
    assert_int_equal(few.recipe.engine, DIP_ENGINE_EXACT); /* too few to train */
}

/* A million vectors of 128 dimensions: each step down saves memory, and says so. */
static void memory_decides_what_is_given_up(void **state)
{
    (void)state;
    static const struct {
        uint64_t memory;
        dip_refinement refinement;
        uint32_t codes;
        bool from_disk;
        const char *words;
    } cases[] = {
        {0, DIP_REFINE_HALF, 64, false, "high recall: refines by halves"},
        {400 * MB, DIP_REFINE_HALF, 64, false, "high recall: refines by halves"},
        {200 * MB, DIP_REFINE_INT8, 64, false, "to save memory: refines by bytes"},
        {165 * MB, DIP_REFINE_INT8, 32, false, "to save memory: refines by bytes, shorter codes"},
        {100 * MB, DIP_REFINE_HALF, 64, true, "refinement stays on disk"},
        {40 * MB, DIP_REFINE_HALF, 32, true, "refinement stays on disk"},
    };
    uint64_t last = UINT64_MAX;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_index_recipe recipe = {.memory = cases[i].memory, .recall = .999};
        dip_index_plan plan = plan_of(&recipe, 1000000, 128);
        if (plan.recipe.refinement != cases[i].refinement ||
            plan.recipe.code_count != cases[i].codes ||
            plan.refine_from_disk != cases[i].from_disk || !strstr(plan.why, cases[i].words))
            fail_msg("%llu MB: refinement %d, %u codes, %s",
                     (unsigned long long)(cases[i].memory / MB), plan.recipe.refinement,
                     plan.recipe.code_count, plan.why);
        assert_true(plan.memory <= last);
        last = plan.memory;
    }
}

static void what_is_asked_for_is_kept(void **state)
{
    (void)state;
    dip_index_plan plan = plan_of(&(dip_index_recipe){.recall = .99}, 1000000, 128);
    assert_int_equal(plan.recipe.refinement, DIP_REFINE_INT8);
    plan = plan_of(&(dip_index_recipe){.recall = .9, .refinement = DIP_REFINE_HALF}, 1000000, 128);
    assert_int_equal(plan.recipe.refinement, DIP_REFINE_HALF);
    plan = plan_of(&(dip_index_recipe){.engine = DIP_ENGINE_EXACT}, 1000000, 128);
    assert_int_equal(plan.recipe.engine, DIP_ENGINE_EXACT);
    assert_string_equal(plan.why, "as asked for");
    plan = plan_of(&(dip_index_recipe){.code_count = 16, .lists = 77}, 1000000, 128);
    assert_int_equal(plan.recipe.code_count, 16);
    assert_int_equal(plan.recipe.lists, 77);
    /* Few vectors, but less memory than they take. */
    plan = plan_of(&(dip_index_recipe){.memory = 10 * MB}, 40000, 128);
    assert_int_equal(plan.recipe.engine, DIP_ENGINE_NATIVE);
    assert_non_null(strstr(plan.why, "inverted lists; to save memory: does not compare all"));
}

static void what_does_not_fit_is_refused_with_a_number(void **state)
{
    (void)state;
    static const dip_index_recipe cases[] = {
        {.memory = 10000000},
        {.memory = 30000000, .code_count = 64},
        {.memory = 300000000, .engine = DIP_ENGINE_FAISS, .code_count = 64},
        {.memory = 500000000, .engine = DIP_ENGINE_EXACT},
    };
    dip_index_plan plan;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(DIP_EINVAL, "--memory", dip_index_plan_make(&plan, &cases[i], 1000000, 128));
    assert_fails(DIP_EINVAL, "520 MB of memory, and 500 MB are left",
                 dip_index_plan_make(&plan, &cases[3], 1000000, 128));
    assert_fails(DIP_EINVAL, "3 codes do not divide",
                 dip_index_plan_make(&plan, &(dip_index_recipe){.code_count = 3}, 1000000, 128));
}

/* The estimate against the file that is written. */
static void a_plan_is_near_to_the_file(void **state)
{
    (void)state;
    enum { N = 6000, DIM = 32 };
    static const dip_engine engines[] = {DIP_ENGINE_EXACT, DIP_ENGINE_NATIVE};
    static const char *const files[] = {"x.exact", "x.segment"};
    char *folder = support_folder();
    float *vectors = support_vectors(N, DIM, 5, 0, 60);
    uint64_t *ids = support_ids(N), bytes;
    for (size_t i = 0; i < 2; i++) {
        dip_index_plan plan = plan_of(&(dip_index_recipe){.engine = engines[i]}, N, DIM);
        assert_ok(dip_index_build(folder, "x", &plan.recipe, vectors, ids, N, DIM, NULL));
        assert_ok(dip_file_size(&bytes, support_path(folder, files[i])));
        double ratio = (double)bytes / (double)plan.disk;
        if (ratio < .9 || ratio > 1.1)
            fail_msg("%s: %llu bytes, planned %llu", files[i], (unsigned long long)bytes,
                     (unsigned long long)plan.disk);
    }
    free(vectors), free(ids);
    support_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_follow_from_n_and_dim),
        cmocka_unit_test(memory_decides_what_is_given_up),
        cmocka_unit_test(what_is_asked_for_is_kept),
        cmocka_unit_test(what_does_not_fit_is_refused_with_a_number),
        cmocka_unit_test(a_plan_is_near_to_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
