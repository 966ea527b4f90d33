/* Plans and their tasks: what a file says, what is refused with its line, what a task's key hangs on. */
#include "support.h"

#include "bench/quality/task.h"
#include "core/file.h"
#include "core/mem.h"

static const char small[] = "# a comment\n"
                            "[plan]\n"
                            "title = A plan\n"
                            "seeds = 1 2\n"
                            "hold-out = 1/3 3/3\n"
                            "train = --epochs 3\n"
                            "[data a]\n"
                            "source = some/folder\n"
                            "import = --bands s1=VV,VH;s2=B02\n"
                            "[data b]\n"
                            "source = other\n"
                            "train = --modalities x,y\n"
                            "[candidate first]\n"
                            "[candidate second]\n"
                            "train = --temperature 0.2\n"
                            "   --smoothing 0.1\n"
                            "  ; another comment\n"
                            "train = --mde 1\n"
                            "eval = --by-scene\n"
                            "eval-int8 = --as int8\n"
                            "data = b\n"
                            "seeds = 7\n"
                            "[final first]\n";

static void read_small(dip_plan *plan, const char *text)
{
    dip_status status = dip_plan_read(plan, support_file("plan.ini", text));
    if (status) fail_msg("%s", dip_last_error());
}

static void a_plan_is_read(void **state)
{
    (void)state;
    dip_plan plan;
    read_small(&plan, small);
    assert_string_equal(plan.title, "A plan");
    assert_int_equal(plan.hold_out_count, 2);
    assert_int_equal(plan.hold_out[1].number, 3);
    assert_int_equal(plan.measure_count, 8);
    assert_int_equal(plan.data_count, 2);
    assert_string_equal(plan.data[0].import, "--bands s1=VV,VH;s2=B02");
    assert_int_equal(plan.row_count, 3);
    const dip_plan_row *second = &plan.rows[1];
    assert_string_equal(second->train, "--temperature 0.2 --smoothing 0.1 --mde 1");
    assert_int_equal(second->form_count, 2);
    assert_string_equal(second->forms[0].name, "");
    assert_string_equal(second->forms[0].eval, "--by-scene");
    assert_string_equal(second->forms[1].name, "int8");
    assert_false(dip_plan_wants(second, &plan.data[0]));
    assert_true(dip_plan_wants(second, &plan.data[1]));
    assert_int_equal(dip_plan_seeds_of(&plan, second)->list[0], 7);
    assert_true(plan.rows[2].final);
    dip_plan_fini(&plan);
}

typedef struct listing {
    char text[2048];
} listing;

static dip_status list_task(void *context, const dip_task *task)
{
    listing *l = context;
    char held[32];
    size_t at = strlen(l->text);
    dip_task_held(task, held, sizeof held);
    snprintf(l->text + at, sizeof l->text - at, "%s/%s/%s/%llu%s ", task->data->name,
             task->row->name, dip_task_split(task), (unsigned long long)task->seed, held);
    return DIP_OK;
}

static void tasks_come_seed_by_seed(void **state)
{
    (void)state;
    dip_plan plan;
    listing candidates = {""}, finals = {""};
    read_small(&plan, small);
    assert_int_equal(dip_task_each(&plan, false, list_task, &candidates), DIP_OK);
    assert_string_equal(candidates.text, "a/first/val/11/3 a/first/val/13/3 "
                                         "a/first/val/21/3 a/first/val/23/3 "
                                         "b/first/val/11/3 b/first/val/13/3 "
                                         "b/first/val/21/3 b/first/val/23/3 "
                                         "b/second/val/71/3 b/second/val/73/3 ");
    assert_int_equal(dip_task_each(&plan, true, list_task, &finals), DIP_OK);
    assert_string_equal(finals.text,
                        "a/first/test/1 a/first/test/2 b/first/test/1 b/first/test/2 ");
    dip_plan_fini(&plan);
}

static void settings_are_the_programs(void **state)
{
    (void)state;
    dip_plan plan;
    char *text = NULL;
    read_small(&plan, small);
    const dip_task task = {&plan, &plan.data[1], &plan.rows[1], {0, 0}, 7};
    assert_int_equal(dip_task_settings(&task, "n", &text), DIP_OK);
    assert_non_null(strstr(text, "name = n\n"));
    assert_non_null(strstr(text, "modalities = x,y\n"));
    assert_non_null(strstr(text, "seed = 7\n"));
    assert_non_null(strstr(text, "epochs = 3\n"));
    assert_non_null(strstr(text, "smoothing = 0.1\n"));
    dip_free(text);
    dip_plan_fini(&plan);
}

static void key_of(const dip_plan *plan, size_t row, size_t form, dip_hold_out hold_out,
                   uint64_t seed, char out[20])
{
    const dip_task task = {plan, &plan->data[1], &plan->rows[row], hold_out, seed};
    assert_int_equal(dip_task_key(&task, &plan->rows[row].forms[form], out), DIP_OK);
}

static void a_key_hangs_on_what_decides_the_numbers(void **state)
{
    (void)state;
    dip_plan plan, same, other;
    char base[20], again[20], keys[6][20];
    const dip_hold_out part = {1, 3};
    char spaced[sizeof small + 64];
    /* An option that is written out but has its default changes nothing. */
    snprintf(spaced, sizeof spaced, "%s", small);
    *strstr(spaced, "[candidate second]") = '\0';
    size_t at = strlen(spaced);
    snprintf(spaced + at, sizeof spaced - at, "train = --preset default\n%s",
             strstr(small, "[candidate second]"));
    read_small(&plan, small);
    read_small(&same, spaced);
    key_of(&plan, 0, 0, part, 1, base);
    key_of(&same, 0, 0, part, 1, again);
    assert_string_equal(base, again);
    key_of(&plan, 0, 0, part, 2, keys[0]);
    key_of(&plan, 0, 0, (dip_hold_out){3, 3}, 1, keys[1]);
    key_of(&plan, 1, 0, part, 1, keys[2]);
    key_of(&plan, 1, 1, part, 1, keys[3]);
    key_of(&plan, 2, 0, (dip_hold_out){0, 0}, 1, keys[4]);
    strstr(spaced, "--epochs 3")[9] = '4';
    read_small(&other, spaced);
    key_of(&other, 0, 0, part, 1, keys[5]);
    for (int i = 0; i < 6; i++) {
        assert_string_not_equal(base, keys[i]);
        for (int k = 0; k < i; k++) assert_string_not_equal(keys[i], keys[k]);
    }
    dip_plan_fini(&plan);
    dip_plan_fini(&same);
    dip_plan_fini(&other);
}

static void mistakes_are_named_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"seeds = 1\n", "line 1: 'seeds' stands before"},
        {"[plan]\nseeds = 1 x\n", "line 2: 'x' is not a seed"},
        {"[plan]\nhold-out = 5/4\n", "line 2: '5/4' is not a part"},
        {"[plan]\nhold-out = 1/1\n", "line 2: '1/1' is not a part"},
        {"[plan]\nmeasures = p10\n", "line 2: 'p10' is not a measure"},
        {"[plan]\nseed = 1\n", "line 2: a plan has no key 'seed'"},
        {"[data a]\npath = x\n", "line 2: a data set has no key 'path'"},
        {"[candidate a]\n\nepochs = 3\n", "line 3: a row has no key 'epochs'"},
        {"[candidate a]\n[candidate a]\n", "line 2: row 'a' is there twice"},
        {"[data a]\n[data a]\n", "line 2: data set 'a' is there twice"},
        {"[candidate a b]\n", "line 1: 'a b' is no name"},
        {"[row a]\n", "line 1: a section is"},
        {"[plan\n", "line 1: '[plan' has no ]"},
        {"[plan]\nseeds\n", "line 2: 'seeds' is neither"},
        {"[plan]\n  more\n", "line 2: 'more' continues nothing"},
        {"[plan]\nseeds = 1\n[data a]\nsource = x\n", "has no [candidate] or [final]"},
        {"[plan]\nseeds = 1\n[candidate a]\n", "has no [data]"},
        {"[plan]\nseeds = 1\n[data d]\n[candidate a]\n", "data set 'd' has no source"},
        {"[data d]\nsource = x\n[candidate a]\n", "row 'a' has no seeds"},
        {"[plan]\nseeds = 1\n[data d]\nsource = x\n[candidate a]\ndata = d e\n", "data set 'e'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_plan plan;
        assert_int_equal(dip_plan_read(&plan, support_file("bad.ini", cases[i].text)), DIP_EFORMAT);
        if (!strstr(dip_last_error(), cases[i].words))
            fail_msg("'%s', wanted '%s'", dip_last_error(), cases[i].words);
    }
}

static void bad_options_are_refused_with_their_row(void **state)
{
    (void)state;
    dip_plan plan;
    char *text = NULL;
    read_small(&plan,
               "[plan]\nseeds = 1\n[data d]\nsource = x\n[candidate odd]\ntrain = --epoch 3\n"
               "[candidate loose]\ntrain = --epochs 3 4\n");
    dip_task task = {&plan, &plan.data[0], &plan.rows[0], {0, 0}, 1};
    assert_int_equal(dip_task_settings(&task, "n", &text), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "row 'odd'"));
    assert_non_null(strstr(dip_last_error(), "epochs"));
    task.row = &plan.rows[1];
    assert_int_equal(dip_task_settings(&task, "n", &text), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "row 'loose': '4' is no option"));
    dip_plan_fini(&plan);
}

/* Every committed plan, with the options of today. */
static dip_status try_task(void *context, const dip_task *task)
{
    char key[20];
    *(size_t *)context += 1;
    return dip_task_key(task, &task->row->forms[0], key);
}

static void committed_plans_parse(void **state)
{
    (void)state;
    char **names = NULL;
    size_t count = 0, plans = 0;
    const char *const folder = DIP_SOURCE_DIR "/bench/quality";
    assert_int_equal(dip_folder_list(&names, &count, folder), DIP_OK);
    for (size_t i = 0; i < count; i++) {
        char path[512];
        dip_plan plan;
        size_t tasks = 0;
        if (!strstr(names[i], ".ini")) continue;
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (dip_plan_read(&plan, path) || dip_task_each(&plan, false, try_task, &tasks) ||
            dip_task_each(&plan, true, try_task, &tasks))
            fail_msg("%s: %s", names[i], dip_last_error());
        assert_true(tasks >= 2);
        dip_plan_fini(&plan);
        plans++;
    }
    assert_true(plans >= 2);
    dip_names_free(names, count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_is_read),
        cmocka_unit_test(tasks_come_seed_by_seed),
        cmocka_unit_test(settings_are_the_programs),
        cmocka_unit_test(a_key_hangs_on_what_decides_the_numbers),
        cmocka_unit_test(mistakes_are_named_with_their_line),
        cmocka_unit_test(bad_options_are_refused_with_their_row),
        cmocka_unit_test(committed_plans_parse),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
