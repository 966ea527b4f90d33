/*
 * Encoders trained elsewhere: what is loaded is what the file has and computes what PyTorch makes of it
 * (reference/resnet.txt, made by resnet.py), channels follow bands, what does not fit is refused by name, a run begins
 * with them and, asked to, leaves them alone.
 * ctest: no-tsan
 */
#include "support.h"
#include "support_noise.h"

#include "core/file.h"
#include "core/mem.h"
#include "encoder/model.h"
#include "train/init.h"
#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>

enum { MOST = 400, REFERENCE_SIDE = 64, REFERENCE_BATCH = 2, MAX_LINE = 2048 };

/* ---- files ---- */

/* The tensors of a file; names and values are its own. */
typedef struct weights {
    dip_safetensors_tensor list[MOST];
    size_t count;
} weights;

/* As resnet.py's fill(). */
static float *fill(const char *name, const dip_safetensors_tensor *t, size_t count)
{
    const size_t length = strlen(name);
    float amplitude = 0.25f, offset = 0;
    if (t->rank > 1)
        amplitude = (float)sqrt(3.0 / (double)(count / t->shape[0]));
    else if (length > 11 && !strcmp(name + length - 11, "running_var"))
        amplitude = 0.5f, offset = 1;
    else if (length > 6 && !strcmp(name + length - 6, "weight"))
        offset = 1;
    float *values = noise_values(noise_seed(name), count, amplitude);
    for (size_t i = 0; i < count; i++) values[i] += offset;
    return values;
}

static dip_safetensors_tensor *add(weights *w, const char *prefix, const char *name, uint32_t rank,
                                   const uint32_t *shape)
{
    dip_safetensors_tensor *t = &w->list[w->count++];
    size_t count = 1;
    *t = (dip_safetensors_tensor){.name = dip_sprintf("%s%s", prefix, name), .rank = rank};
    for (uint32_t i = 0; i < rank; i++) count *= t->shape[i] = shape[i];
    t->values = fill(t->name, t, count);
    return t;
}

static void remove_tensor(weights *w, size_t position)
{
    dip_free((void *)w->list[position].name);
    free((void *)w->list[position].values);
    w->list[position] = w->list[--w->count];
}

static void free_weights(weights *w)
{
    while (w->count) remove_tensor(w, w->count - 1);
}

static dip_net_spec resnet(bool fifty, uint32_t bands)
{
    return (dip_net_spec){.input_px = REFERENCE_SIDE,
                          .stem_kernel = 7,
                          .stem_stride = 2,
                          .stem_pool = true,
                          .block = fifty ? DIP_BLOCK_BOTTLENECK : DIP_BLOCK_BASIC,
                          .stage_count = 4,
                          .width = {64, 128, 256, 512},
                          .blocks = {fifty ? 3 : 2, fifty ? 4 : 2, fifty ? 6 : 2, fifty ? 3 : 2},
                          .shared_from = 4,
                          .embed_dim = 32,
                          .modality_count = 1,
                          .modality = {{.name = "m", .band_count = bands}}};
}

/* Two stages of 32 and 64 channels. */
static dip_net_spec tiny(uint32_t bands)
{
    dip_net_spec spec = resnet(false, bands);
    spec.stage_count = spec.shared_from = 2;
    spec.width[0] = 32;
    spec.width[1] = 64;
    spec.blocks[0] = spec.blocks[1] = 1;
    return spec;
}

/* All that a file of such a network has, a classifier too. */
static void make_weights(weights *w, dip_net_spec spec, const char *prefix)
{
    dip_net *net = NULL;
    w->count = 0;
    assert_int_equal(dip_net_create(&net, &spec, 1, DIP_NET_INFER), DIP_OK);
    for (size_t i = 0; i < dip_net_tensor_count(net); i++) {
        const dip_tensor *t = dip_net_tensor(net, i);
        if (t->kind != DIP_TENSOR_LINEAR && t->kind != DIP_TENSOR_LINEAR_BIAS)
            add(w, prefix, t->name + 2, t->rank, t->shape);
    }
    dip_net_destroy(net);
    add(w, prefix, "fc.weight", 2, (uint32_t[]){19, dip_net_spec_dim(&spec, DIP_H)});
    add(w, prefix, "bn1.num_batches_tracked", 0, NULL);
}

static const char *write_weights(const weights *w, const char *name)
{
    const char *path = support_path("%s.safetensors", name);
    assert_int_equal(dip_safetensors_write(path, w->list, w->count, NULL, 0), DIP_OK);
    return path;
}

static size_t find(const weights *w, const char *name)
{
    for (size_t i = 0; i < w->count; i++)
        if (!strcmp(w->list[i].name, name)) return i;
    fail_msg("no tensor '%s'", name);
    return 0;
}

/* ---- opening without an archive ---- */

/* Modality "m" with bands as "B02,B03". */
static dip_dataset dataset_of(const char *bands)
{
    dip_dataset d = {.modality_count = 1, .modality = {{.name = "m"}}};
    for (const char *at = bands; *at; at += *at == ',') {
        dip_band *band = &d.modality[0].bands[d.modality[0].band_count++];
        const size_t length = strcspn(at, ",");
        snprintf(band->name, sizeof band->name, "%.*s", (int)length, at);
        band->mean = 1;
        band->stddev = 900;
        at += length;
    }
    return d;
}

static dip_train_options options_of(const char *init, const char *bands)
{
    dip_train_options options;
    char *argv[] = {(char *)"train", NULL};
    dip_train_options_init(&options, 1, argv);
    options.init = init;
    options.init_bands = bands;
    return options;
}

/* A net with the weights of modality "m". */
static dip_status open_net(dip_net **net, const dip_dataset *d, const char *path, const char *bands)
{
    dip_init *init = NULL;
    dip_net_spec spec = {.modality_count = 1};
    char *assigned = dip_sprintf("m=%s", path), *named = dip_sprintf("m=%s", bands);
    dip_train_options options = options_of(assigned, named);
    options.input_px = REFERENCE_SIDE;
    dip_status status = dip_init_open(&init, d, &options);
    if (!status) status = dip_train_network(&options, &spec);
    spec.modality[0] = d->modality[0];
    if (!status) status = dip_net_create(net, &spec, REFERENCE_BATCH, DIP_NET_INFER);
    if (!status) status = dip_init_load(init, *net);
    if (!status) dip_net_refresh(*net);
    dip_init_close(init);
    dip_free(assigned);
    dip_free(named);
    return status;
}

static float *tensor_of(const dip_net *net, const char *name)
{
    for (size_t i = 0; i < dip_net_tensor_count(net); i++) {
        const dip_tensor *t = dip_net_tensor(net, i);
        if (strcmp(t->name, name) != 0) continue;
        float *values = malloc(t->count * sizeof *values);
        dip_net_tensor_get(net, i, values);
        return values;
    }
    fail_msg("no tensor '%s'", name);
    return NULL;
}

/* ---- PyTorch ---- */

/* Each tensor of the encoder but the first convolution's is the file's, bit by bit. */
static void assert_loaded(const dip_net *net, const char *owner, const weights *w,
                          const char *prefix)
{
    size_t same = 0;
    for (size_t i = 0; i < w->count; i++) {
        const char *name = w->list[i].name + strlen(prefix);
        if (!strncmp(name, "fc.", 3) || strstr(name, "tracked")) continue;
        if (!strcmp(name, "conv1.weight")) continue;
        char *ours = dip_sprintf("%s.%s", owner, name);
        float *values = tensor_of(net, ours);
        size_t count = 1;
        for (uint32_t r = 0; r < w->list[i].rank; r++) count *= w->list[i].shape[r];
        assert_memory_equal(values, w->list[i].values, count * sizeof *values);
        free(values);
        dip_free(ours);
        same++;
    }
    assert_int_equal(same, w->count - 3);
}

static void check_features(dip_net *net, const char *prefix, uint32_t bands, const char *line)
{
    double moved, expected[1 + NOISE_PROJECTIONS];
    int at, length;
    assert_int_equal(sscanf(line, "%*s %*u %lf%n", &moved, &at), 1);
    for (int i = 0; i <= NOISE_PROJECTIONS; i++, at += length)
        assert_int_equal(sscanf(line + at, "%lf%n", &expected[i], &length), 1);
    const size_t values = (size_t)REFERENCE_BATCH * REFERENCE_SIDE * REFERENCE_SIDE * bands;
    const size_t h = REFERENCE_BATCH * dip_net_spec_dim(dip_net_get_spec(net), DIP_H);
    char *seed = dip_sprintf("%sinput", prefix);
    float *input = noise_values(noise_seed(seed), values, 1.7f), *out = malloc(h * sizeof *out);
    assert_int_equal(dip_net_forward(net, 0, input, REFERENCE_BATCH, (dip_net_out){[DIP_H] = out}),
                     DIP_OK);
    const double off = noise_difference(out, h, expected);
    if (!(off <= 1.7 * moved + 0.002))
        fail_msg("%s off by %.4f; rounding makes %.4f", prefix, off, moved);
    free(input);
    free(out);
    dip_free(seed);
}

static void check_line(const char *line)
{
    static const char *const names = "C00,C01,C02,C03,C04,C05,C06,C07,C08,C09";
    char name[32], prefix[48], list[64];
    uint32_t bands;
    weights w;
    dip_net *net = NULL;
    assert_int_equal(sscanf(line, "%31s %u", name, &bands), 2);
    snprintf(prefix, sizeof prefix, "%s.%u.", name, bands);
    snprintf(list, sizeof list, "%.*s", (int)bands * 4 - 1, names);
    make_weights(&w, resnet(!strcmp(name, "resnet50"), bands), prefix);
    const char *path = write_weights(&w, "resnet");
    const dip_dataset d = dataset_of(list);
    assert_int_equal(open_net(&net, &d, path, list), DIP_OK);
    assert_loaded(net, "m", &w, prefix);
    char *stem = dip_sprintf("%sconv1.weight", prefix);
    float *values = tensor_of(net, "m.conv1.weight");
    assert_memory_equal(values, w.list[find(&w, stem)].values, 64 * bands * 49 * sizeof *values);
    check_features(net, prefix, bands, line);
    free(values);
    dip_free(stem);
    dip_net_destroy(net);
    free_weights(&w);
    assert_int_equal(dip_file_remove(path), DIP_OK);
}

static void resnets_compute_what_pytorch_does(void **state)
{
    (void)state;
    char line[MAX_LINE];
    int lines = 0;
    FILE *file = fopen(DIP_SOURCE_DIR "/tests/train/reference/resnet.txt", "r");
    assert_non_null(file);
    for (; fgets(line, sizeof line, file); lines++) check_line(line);
    fclose(file);
    assert_int_equal(lines, 4);
}

/* ---- channels ---- */

/* The file's channels are B8A, B03, one to leave out, B02; the archive's bands B02, B03, B04, B8A. */
static void channels_follow_the_bands(void **state)
{
    (void)state;
    static const int channel_of[] = {3, 1, -1, 0};
    weights w;
    dip_net *net = NULL;
    make_weights(&w, tiny(4), "");
    const dip_dataset d = dataset_of("B02,B03,B04,B8A");
    assert_int_equal(open_net(&net, &d, write_weights(&w, "order"), "b8a,B3,-,B2"), DIP_OK);
    assert_loaded(net, "m", &w, "");
    const float *from = w.list[find(&w, "conv1.weight")].values;
    float *values = tensor_of(net, "m.conv1.weight");
    for (size_t i = 0; i < 32 * 4 * 49; i++) {
        const size_t out = i / 49 / 4;
        const int channel = channel_of[i / 49 % 4];
        assert_true(values[i] ==
                    (channel < 0 ? 0 : from[(out * 4 + (size_t)channel) * 49 + i % 49]));
    }
    free(values);
    dip_net_destroy(net);
    free_weights(&w);
}

/* A published set brings its statistics, and may have channels of the atmosphere that the archive lacks. */
static void a_published_set_brings_its_statistics(void **state)
{
    (void)state;
    weights w;
    dip_init *init = NULL;
    char line[400];
    make_weights(&w, tiny(13), "");
    dip_dataset d = dataset_of("B02,B03,B04,B05,B06,B07,B08,B8A,B11,B12,B99");
    char *assigned = dip_sprintf("m=%s", write_weights(&w, "softcon"));
    dip_train_options options = options_of(assigned, "m=torchgeo-s2-softcon");
    assert_int_equal(dip_init_open(&init, &d, &options), DIP_OK);
    assert_int_equal(dip_init_normalise(init, &d), DIP_OK);
    const dip_band *bands = d.modality[0].bands;
    assert_true(bands[0].mean == 1397.6 && bands[0].stddev == 854.3);
    assert_true(bands[7].mean == 2581.0 && bands[9].stddev == 1142.9);
    assert_true(bands[10].mean == 1 && bands[10].stddev == 900); /* no channel's: as measured */
    dip_init_describe(init, 0, line, sizeof line);
    assert_non_null(strstr(line, "lacks B01, B09, B10"));
    strcpy(d.modality[0].bands[0].name, "other");
    dip_init_close(init);
    assert_int_equal(dip_init_open(&init, &d, &options), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "'B02'"));
    dip_free(assigned);
    free_weights(&w);
}

/* ---- refusals ---- */

typedef struct refusal {
    const char *bands; /* of the file, as --init-bands says */
    const char *spoil; /* what becomes of the file */
    const char *word;  /* in the message */
} refusal;

static void spoil(weights *w, const char *how)
{
    static const float negative[32] = {-1};
    if (!strcmp(how, "missing")) remove_tensor(w, find(w, "layer2.0.bn1.running_mean"));
    if (!strcmp(how, "no stem")) remove_tensor(w, find(w, "conv1.weight"));
    if (!strcmp(how, "shape")) w->list[find(w, "layer1.0.conv2.weight")].shape[0] = 16;
    if (!strcmp(how, "stem")) {
        remove_tensor(w, find(w, "conv1.weight"));
        add(w, "", "conv1.weight", 4, (uint32_t[]){32, 2, 3, 3});
    }
    if (!strcmp(how, "extra")) add(w, "", "layer1.0.se.weight", 1, (uint32_t[]){4});
    if (!strcmp(how, "nothing")) remove_tensor(w, find(w, "layer1.0.conv1.weight"));
    if (!strcmp(how, "two"))
        add(w, "", "other.layer1.0.conv1.weight", 4, (uint32_t[]){32, 32, 3, 3});
    if (!strcmp(how, "negative"))
        memcpy((float *)w->list[find(w, "bn1.running_var")].values, negative, sizeof negative);
    if (!strcmp(how, "nan")) ((float *)w->list[find(w, "bn1.bias")].values)[3] = NAN;
    if (!strcmp(how, "width")) {
        remove_tensor(w, find(w, "layer1.0.conv1.weight"));
        add(w, "", "layer1.0.conv1.weight", 4, (uint32_t[]){40, 32, 3, 3});
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const refusal cases[] = {{"B02,B03", "", NULL},
                                    {"B02", "", "has 2"},
                                    {"B02,B03,B04", "", "has 2"},
                                    {"B02,B12", "", "'B12'"},
                                    {"B02,B2", "", "twice"},
                                    {"B02,", "", "no list"},
                                    {"-,-", "", "no channel"},
                                    {"torchgeo-s3", "", "torchgeo-s2"},
                                    {"torchgeo-s1", "", "'VV'"},
                                    {"B02,B03", "missing", "'layer2.0.bn1.running_mean'"},
                                    {"B02,B03", "no stem", "'conv1.weight'"},
                                    {"B02,B03", "shape", "'layer1.0.conv2.weight'"},
                                    {"B02,B03", "stem", "7x7"},
                                    {"B02,B03", "extra", "'layer1.0.se.weight'"},
                                    {"B02,B03", "nothing", "no ResNet"},
                                    {"B02,B03", "two", "2 encoders"},
                                    {"B02,B03", "negative", "'bn1.running_var'"},
                                    {"B02,B03", "nan", "'bn1.bias'"},
                                    {"B02,B03", "width", "width"}};
    const dip_dataset d = dataset_of("B02,B03,B04");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weights w;
        dip_net *net = NULL;
        make_weights(&w, tiny(2), "");
        spoil(&w, cases[i].spoil);
        dip_error_clear();
        const dip_status status = open_net(&net, &d, write_weights(&w, "spoilt"), cases[i].bands);
        assert_int_equal(!status, !cases[i].word);
        if (status && !strstr(dip_last_error(), cases[i].word))
            fail_msg("%s, %s: '%s'", cases[i].bands, cases[i].spoil, dip_last_error());
        dip_net_destroy(net);
        free_weights(&w);
    }
}

static void options_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    weights w;
    make_weights(&w, tiny(2), "");
    const char *path = write_weights(&w, "plain");
    const struct {
        const char *init, *bands, *option, *value, *word;
    } cases[] = {{"m=%s", "m=B02,B03", NULL, NULL, NULL},
                 {"m=%s", NULL, NULL, NULL, "init-bands"},
                 {"x=%s", "m=B02,B03", NULL, NULL, "'x'"},
                 {"%s", "m=B02,B03", NULL, NULL, "modality=file"},
                 {"m=%s,", "m=B02,B03", NULL, NULL, "modality=file"},
                 {"m=%s", "B02,B03", NULL, NULL, "modality=bands"},
                 {"m=%s", "m=B02,B03;m=B02,B03", NULL, NULL, "twice"},
                 {"m=%s.none", "m=B02,B03", NULL, NULL, "plain.safetensors.none"},
                 {"m=%s", "m=B02,B03", "block", "bottleneck", "--block basic"},
                 {"m=%s", "m=B02,B03", "widths", "64,64", "--widths 32,64"},
                 {"m=%s", "m=B02,B03", "widths", "32,64", NULL},
                 {"m=%s", "m=B02,B03", "shared-from", "0", "--shared-from 2"},
                 {"m=%s", "m=B02,B03", "preset", "ss-cmir", NULL}};
    const dip_dataset d = dataset_of("B02,B03");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_init *init = NULL;
        char named[300];
        snprintf(named, sizeof named, cases[i].init, path);
        dip_train_options options = options_of(named, cases[i].bands);
        if (cases[i].option)
            assert_int_equal(
                dip_options_set(dip_train_table, &options, cases[i].option, cases[i].value),
                DIP_OK);
        dip_error_clear();
        const dip_status status = dip_init_open(&init, &d, &options);
        assert_int_equal(!status, !cases[i].word);
        if (status && !strstr(dip_last_error(), cases[i].word))
            fail_msg("case %zu: '%s'", i, dip_last_error());
        dip_init_close(init);
    }
    free_weights(&w);
}

/* Whichever allocation fails, opening and loading say so and leave nothing behind (ASan watches). */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    weights w;
    const dip_dataset d = dataset_of("B02,B03");
    make_weights(&w, tiny(2), "");
    const char *path = write_weights(&w, "memory");
    char *init = dip_sprintf("m=%s", path);
    dip_net *net = NULL;
    assert_int_equal(open_net(&net, &d, path, "B02,B03"), DIP_OK);
    size_t n = 1;
    for (dip_status status = DIP_ENOMEM; status; n++) {
        dip_init *opened = NULL;
        dip_train_options options = options_of(init, "m=B02,B03");
        dip_mem_fail_after(n);
        status = dip_init_open(&opened, &d, &options);
        if (!status) status = dip_init_load(opened, net);
        dip_mem_fail_after(0);
        dip_init_close(opened);
        if (status) assert_int_equal(status, DIP_ENOMEM);
    }
    assert_true(n > 20);
    dip_net_destroy(net);
    dip_free(init);
    free_weights(&w);
}

static void units_and_scales_are_compared(void **state)
{
    (void)state;
    weights w;
    dip_init *init = NULL;
    make_weights(&w, tiny(2), "");
    char *assigned = dip_sprintf("m=%s", write_weights(&w, "units"));
    dip_train_options options = options_of(assigned, "m=bigearthnet-s1");
    dip_dataset d = dataset_of("VH,VV");
    d.modality[0].bands[0].stddev = d.modality[0].bands[1].stddev = 4;
    strcpy(d.modality[0].bands[1].unit, "power");
    assert_int_equal(dip_init_open(&init, &d, &options), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "'power'"));
    strcpy(d.modality[0].bands[1].unit, "dB");
    assert_int_equal(dip_init_open(&init, &d, &options), DIP_OK);
    assert_int_equal(dip_init_normalise(init, &d), DIP_OK);
    assert_true(d.modality[0].bands[0].mean == -19.3525581);
    d.modality[0].bands[0].stddev = 1e-5;
    assert_int_equal(dip_init_normalise(init, &d), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "'VH'"));
    dip_init_close(init);
    dip_free(assigned);
    free_weights(&w);
}

/* ---- runs ---- */

static const support_plan pairs = {.places = 32, .splits = "tttv"};

/* Weights for modalities "a" (one band) and "b" (two), and the options of a run that begins with them. */
static dip_train_options begin_with(weights w[2], char *init, size_t capacity)
{
    dip_train_options options = support_options("m");
    const dip_train_options defaults = options_of(NULL, NULL);
    make_weights(&w[0], tiny(1), "encoder.");
    make_weights(&w[1], tiny(2), "encoder.");
    snprintf(init, capacity, "a=%s,b=%s", write_weights(&w[0], "a"), write_weights(&w[1], "b"));
    options.stem_stride = defaults.stem_stride;
    options.stem_pool = defaults.stem_pool;
    options.widths = defaults.widths;
    options.blocks = defaults.blocks;
    options.input_px = 32;
    options.init = init;
    options.init_bands = "a=V;b=N,R";
    return options;
}

static dip_net *model_net(const char *archive, const char *name)
{
    dip_safetensors *file = NULL;
    dip_net *net = NULL;
    dip_net_spec spec = tiny(1);
    const char *path = support_path("%s/models/%s.safetensors", archive, name);
    strcpy(spec.modality[0].name, "a");
    spec.modality[1] = (dip_modality){.name = "b", .band_count = 2};
    spec.modality_count = 2;
    spec.head_shared = true;
    assert_int_equal(dip_net_create(&net, &spec, 1, DIP_NET_INFER), DIP_OK);
    assert_int_equal(dip_safetensors_open(&file, path), DIP_OK);
    assert_int_equal(dip_net_load(net, file, path), DIP_OK);
    dip_safetensors_close(file);
    return net;
}

/* No epoch: the model is the file's encoder, and its embedding h alone. */
static void no_epoch_gives_the_weights_as_they_are(void **state)
{
    (void)state;
    weights w[2];
    char init[600];
    dip_train_result result;
    dip_model *model = NULL;
    dip_archive *archive = support_archive("as-they-are", &pairs);
    dip_train_options options = begin_with(w, init, sizeof init);
    options.epochs = 0;
    options.embed_z = 0.25;
    assert_int_equal(dip_train(archive, &options, NULL, &result), DIP_OK);
    assert_int_equal(result.steps, 0);
    dip_net *net = model_net("as-they-are", "m");
    assert_loaded(net, "a", &w[0], "encoder.");
    assert_loaded(net, "b", &w[1], "encoder.");
    assert_int_equal(dip_model_open(&model, support_path("as-they-are/models/m.safetensors")),
                     DIP_OK);
    assert_int_equal(dip_model_dim(model), 64);
    dip_model_close(model);
    dip_net_destroy(net);
    strchr(init, ',')[0] = 0; /* weights for "a" alone */
    options.init_bands = "a=V";
    assert_int_equal(dip_train(archive, &options, NULL, &result), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "'b'"));
    dip_archive_close(archive);
    free_weights(&w[0]);
    free_weights(&w[1]);
}

/* A frozen encoder is the file's after training, its running statistics too; the other one and the head have learned. */
static void frozen_encoders_stay(void **state)
{
    (void)state;
    weights w[2];
    char init[600];
    dip_train_result result;
    dip_archive *archive = support_archive("frozen", &pairs);
    dip_train_options options = begin_with(w, init, sizeof init);
    options.freeze = true;
    options.average = 0.9;
    options.mde = 0.5; /* a gradient on h as well */
    assert_int_equal(dip_train(archive, &options, NULL, &result), DIP_OK);
    dip_net *net = model_net("frozen", "m");
    assert_loaded(net, "a", &w[0], "encoder.");
    assert_loaded(net, "b", &w[1], "encoder.");
    float *head[2] = {tensor_of(net, "shared.head.0.weight")};
    dip_net_destroy(net);
    strchr(init, ',')[0] = 0;
    options.init_bands = "a=V";
    assert_int_equal(dip_train(archive, &options, NULL, &result), DIP_OK);
    assert_string_equal(result.model, "m-2");
    net = model_net("frozen", "m-2");
    assert_loaded(net, "a", &w[0], "encoder.");
    head[1] = tensor_of(net, "shared.head.0.weight");
    assert_memory_not_equal(head[0], head[1], 32 * 64 * sizeof(float));
    float *mean = tensor_of(net, "b.layer2.0.bn2.running_mean");
    double moved = 0;
    for (int i = 0; i < 64; i++) moved += fabs((double)mean[i]);
    assert_true(moved > 1e-3);
    free(mean), free(head[0]), free(head[1]);
    dip_net_destroy(net);
    dip_archive_close(archive);
    free_weights(&w[0]);
    free_weights(&w[1]);
}

/* ---- interruption ---- */

static int stop_at_third(void *payload, const char *phase, uint64_t done, uint64_t total)
{
    (void)done, (void)total;
    return !strcmp(phase, "training") && ++*(int *)payload == 3;
}

/* Interrupted and continued, it ends as an undisturbed run; other weights under the old path are another run. */
static void a_run_that_begins_with_weights_continues(void **state)
{
    (void)state;
    weights w[2];
    char init[600];
    int ticks = 0;
    const dip_progress progress = {stop_at_third, &ticks};
    const dip_train_listener listener = {.progress = &progress};
    dip_train_result result;
    dip_train_options options = begin_with(w, init, sizeof init);
    dip_archive *whole = support_archive("whole", &pairs), *cut = support_archive("cut", &pairs);
    options.average = 0.9;
    assert_int_equal(dip_train(whole, &options, NULL, &result), DIP_OK);
    assert_int_equal(dip_train(cut, &options, &listener, &result), DIP_ECANCEL);
    assert_int_equal(dip_train(cut, &options, NULL, &result), DIP_OK);
    assert_int_equal(result.resumed_from, 3);
    size_t n, m;
    char *x = support_read(support_path("whole/models/m.safetensors"), &n);
    char *y = support_read(support_path("cut/models/m.safetensors"), &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    ((float *)w[0].list[0].values)[0] += 1;
    write_weights(&w[0], "a");
    assert_int_equal(dip_train(whole, &options, NULL, &result), DIP_OK);
    assert_string_equal(result.model, "m-2");
    dip_free(x);
    dip_free(y);
    dip_archive_close(whole);
    dip_archive_close(cut);
    free_weights(&w[0]);
    free_weights(&w[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resnets_compute_what_pytorch_does),
        cmocka_unit_test(channels_follow_the_bands),
        cmocka_unit_test(a_published_set_brings_its_statistics),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(options_that_do_not_fit_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(units_and_scales_are_compared),
        cmocka_unit_test(no_epoch_gives_the_weights_as_they_are),
        cmocka_unit_test(frozen_encoders_stay),
        cmocka_unit_test(a_run_that_begins_with_weights_continues),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
