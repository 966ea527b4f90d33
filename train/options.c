/* The options table of training and its presets; see options.h. */
#include "train/options.h"

#include "core/mem.h"
#include "core/options_rows.h"
#include "train/queue.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS dip_train_options
#define PRESETS "default|ss-cmir"
#define FORMS "unit|centred|standard"

/* clang-format off */
const dip_option dip_train_table[] = {
    HEADING("Run"),
    CHOICE("preset", preset, PRESETS, "default", "set of defaults; ss-cmir is the published method"),
    TEXT("name", name, "default", "name of the run and of the model"),
    TEXT("modalities", modalities, NULL, "modalities to learn, as 's1,s2'; default: all of the archive"),
    INT("seed", seed, 0, 1e15, "1", "everything random follows from it"),
    INT("epochs", epochs, 0, 100000, "100", "passes over the training pairs; 0: the weights of --init as they are"),
    INT("batch", batch, 2, 8192, "64", "pairs a step"),
    REAL("pairs-share", pairs_share, 0.0001, 1, "1", "share of the training places to learn from, drawn by the seed"),
    CHOICE("statistics", statistics, "measure|archive", "measure", "where each band's mean and deviation come from"),
    HEADING("Weights trained elsewhere"),
    TEXT("init", init, NULL, "ResNets to begin with, as 's1=FILE,s2=FILE' (safetensors)"),
    TEXT("init-bands", init_bands, NULL, "bands of their input channels, as 's1=VV,VH;s2=SET'; sets: docs/training.md"),
    FLAG("freeze", freeze, "no", "keep these encoders as they are, train the rest"),
    HEADING("Network"),
    INT("input-px", input_px, 8, 2048, "96", "side of the network's input in training"),
    INT("encode-px", encode_px, 0, 2048, "0", "side of its input when encoding; 0: as in training"),
    INT("stem-kernel", stem_kernel, 3, 7, "3", "kernel of the first convolution, 3 or 7"),
    INT("stem-stride", stem_stride, 1, 2, "2", "stride of the first convolution"),
    FLAG("stem-pool", stem_pool, "yes", "max pooling after the first convolution"),
    CHOICE("block", block, "basic|bottleneck", "basic", "residual blocks: 3x3 3x3, or 1x1 3x3 1x1 to four times the width"),
    TEXT("widths", widths, "32,64,128,256", "channels of the stages, multiples of 32"),
    TEXT("blocks", blocks, "1,1,1,1", "residual blocks of the stages"),
    INT("shared-from", shared_from, 0, DIP_MAX_STAGES, "1", "first stage whose convolutions the modalities share"),
    CHOICE("pool", pool, "mean|gem", "mean", "how pixels become features: mean, or generalised mean of power 3"),
    INT("pool-stages", pool_stages, 1, DIP_MAX_STAGES, "1", "last stages that are pooled into the features"),
    CHOICE("head", head, "linear|mlp", "linear", "projection head"),
    FLAG("head-shared", head_shared, "yes", "one head for all modalities"),
    INT("head-hidden", head_hidden, 32, 8192, "256", "hidden width of an mlp head"),
    INT("embed-dim", embed_dim, 32, 8192, "128", "width of the projection"),
    INT("layout-grid", layout_grid, 0, 64, "8", "cells a side of the layout, at most its stage's; 0: none"),
    INT("layout-stage", layout_stage, 0, DIP_MAX_STAGES - 1, "1", "stage whose result the cells average, at most the last"),
    INT("layout-channels", layout_channels, 1, 1024, "4", "values of a cell"),
    FLAG("layout-centred", layout_centred, "yes", "take the cells' mean from each cell"),
    FLAG("zero-last", zero_last, "yes", "residual branches begin at zero"),
    HEADING("Objective"),
    REAL("mim", mim, 0, 1000, "1", "weight of the contrast between modalities"),
    REAL("temperature", temperature, 0.001, 100, "0.1", "temperature of the contrast"),
    REAL("smoothing", smoothing, 0, 0.99, "0", "label smoothing of the contrast"),
    FLAG("within", within, "yes", "negatives of the own modality too (NT-Xent)"),
    REAL("layout", layout, 0, 1000, "1", "weight of the contrast between layouts"),
    REAL("layout-temperature", layout_temperature, 0.001, 100, "0.1", "its temperature"),
    REAL("soft", soft, 0, 1000, "0.5", "weight of soft targets from the batch's own similarities"),
    REAL("soft-temperature", soft_temperature, 0.001, 100, "0.1", "temperature of the soft targets"),
    REAL("soft-start", soft_start, 0, 1, "0.2", "share of the run after which soft targets begin"),
    CHOICE("soft-source", soft_source, "fused|all|first|second|across", "fused", "similarities behind the soft targets"),
    CHOICE("soft-on", soft_on, "z|h", "h", "vectors that those similarities compare"),
    REAL("mde", mde, 0, 1000, "0", "weight of the discrepancy between modalities"),
    CHOICE("mde-form", mde_form, "cosine|log", "cosine", "1 - cos, or the published -log(1 + exp cos)"),
    CHOICE("mde-on", mde_on, "z|h", "h", "vectors that it compares"),
    REAL("msp", msp, -1000, 1000, "0", "weight of similar pairs inside a modality; negative pushes them apart"),
    CHOICE("msp-source", msp_source, "own|fused", "fused", "what decides which pairs are similar"),
    CHOICE("msp-on", msp_on, "z|h", "h", "vectors that it compares"),
    INT("queue", queue, 0, DIP_QUEUE_MOST, "0", "past pairs among which msp and soft look too; 0: the batch alone"),
    FLAG("queue-negatives", queue_negatives, "no", "the queue's vectors are negatives of the contrast too"),
    REAL("sigreg", sigreg, 0, 1000, "0", "weight of SIGReg, which keeps vectors from collapsing"),
    INT("sigreg-directions", sigreg_directions, 1, 65536, "256", "random directions a step that it looks along"),
    CHOICE("sigreg-on", sigreg_on, "z|h", "z", "vectors that it spreads"),
    CHOICE("ramp", ramp, "none|geometric", "none", "how mde, msp and soft grow over the run"),
    REAL("ramp-from", ramp_from, 1e-12, 1, "0.0001", "their first factor"),
    HEADING("Optimisation"),
    REAL("rate", rate, 0, 100, "0.008", "learning rate"),
    REAL("weight-decay", weight_decay, 0, 100, "0.05", "of weights; norms and biases do not decay"),
    REAL("beta1", beta1, 0, 0.999999, "0.9", "of AdamW"),
    REAL("beta2", beta2, 0, 0.999999, "0.95", "of AdamW"),
    REAL("epsilon", epsilon, 0, 1, "1e-8", "of AdamW"),
    REAL("warmup", warmup, 0, 100000, "3", "epochs over which the rate rises"),
    CHOICE("decay", decay, "cosine|constant", "cosine", "how the rate falls after that"),
    REAL("clip", clip, 0, 1e9, "0", "largest norm of the gradient; 0: no limit"),
    REAL("average", average, 0, 0.999999, "0.99", "decay of the moving average of the weights; 0: none"),
    REAL("momentum", momentum, 0.0001, 1, "0.1", "of batch norm's running statistics"),
    HEADING("Windows and augmentation"),
    REAL("zoom-min", zoom_min, 0.05, 1, "0.5", "smallest window, as a share of the tile's side"),
    REAL("zoom-max", zoom_max, 0.05, 1, "1", "largest window"),
    FLAG("flips", flips, "yes", "mirror tiles"),
    FLAG("rotations", rotations, "yes", "turn tiles by quarters"),
    FLAG("independent", independent, "no", "another window for each modality of a pair"),
    REAL("gain", gain, 0, 1, "0", "each band times 1 - x to 1 + x"),
    REAL("offset", offset, 0, 10, "0", "each band plus -x to x deviations"),
    REAL("noise", noise, 0, 10, "0", "white noise, in deviations"),
    REAL("speckle", speckle, 0, 2, "0", "relative deviation of speckle on radar bands: 1 / sqrt(looks)"),
    REAL("band-drop", band_drop, 0, 1, "0", "probability that a band is left out"),
    REAL("cutout", cutout, 0, 1, "0", "probability that a square is left out"),
    HEADING("Embedding"),
    REAL("embed-z", embed_z, 0, 1000, "0.7", "weight of the projection in the embedding"),
    CHOICE("embed-z-form", embed_z_form, FORMS, "unit", "as it is, centred, or standardised by modality"),
    REAL("embed-h", embed_h, 0, 1000, "0", "weight of the features before the projection"),
    CHOICE("embed-h-form", embed_h_form, FORMS, "centred", "as it is, centred, or standardised by modality"),
    REAL("embed-layout", embed_layout, 0, 1000, "0.3", "weight of the layout"),
    CHOICE("embed-layout-form", embed_layout_form, FORMS, "unit", "as it is, centred, or standardised by modality"),
    INT("embed-views", embed_views, 1, 8, "1", "orientations that an embedding averages: 1, 2, 4 or 8"),
    HEADING("Course of the run"),
    INT("memory", memory_mb, 0, 1e9, "4096", "MB for prepared tiles; what does not fit is read again"),
    INT("eval-every", eval_every, 0, 100000, "5", "epochs between evaluations on held-out pairs; 0: at the end"),
    INT("checkpoint-every", checkpoint_every, 0, 1e9, "500", "steps between checkpoints; 0: at each epoch's end"),
    INT("patience", patience, 0, 100000, "0", "evaluations without progress after which to stop; 0: never"),
    CHOICE("keep", keep, "last|best", "last", "weights of the last epoch, or of the best evaluation"),
    FLAG("resume", resume, "yes", "continue an unfinished run of the same configuration"),
    FLAG("force", force, "no", "train again what is finished"),
    {.name = NULL},
};
/* clang-format on */

/*
 * What a preset sets, as it would be typed. The published method is set whole, whatever the defaults are: two separate
 * ResNet-50, NT-Xent on z, the other two losses on h with their ramp, flips alone, and h as the embedding.
 */
static const char *const ss_cmir[][2] = {
    {"epochs", "30"},
    {"batch", "128"},
    {"input-px", "120"},
    {"stem-kernel", "7"},
    {"stem-stride", "2"},
    {"stem-pool", "yes"},
    {"block", "bottleneck"},
    {"widths", "64,128,256,512"},
    {"blocks", "3,4,6,3"},
    {"pool", "mean"},
    {"pool-stages", "1"},
    {"shared-from", "4"},
    {"head", "linear"},
    {"head-shared", "no"},
    {"embed-dim", "128"},
    {"zero-last", "no"},
    {"mim", "1"},
    {"temperature", "0.1"},
    {"smoothing", "0"},
    {"within", "yes"},
    {"soft", "0"},
    {"sigreg", "0"},
    {"queue", "0"},
    {"queue-negatives", "no"},
    {"mde", "1"},
    {"mde-form", "log"},
    {"mde-on", "h"},
    {"msp", "1"},
    {"msp-source", "own"},
    {"msp-on", "h"},
    {"ramp", "geometric"},
    {"ramp-from", "0.0001"},
    {"rate", "0.0001"},
    {"weight-decay", "0.05"},
    {"warmup", "3"},
    {"decay", "cosine"},
    {"average", "0"},
    {"zoom-min", "1"},
    {"zoom-max", "1"},
    {"flips", "yes"},
    {"rotations", "no"},
    {"gain", "0"},
    {"offset", "0"},
    {"layout-grid", "0"},
    {"embed-z", "0"},
    {"embed-h", "1"},
    {"embed-h-form", "unit"},
    {"embed-views", "1"},
    {NULL, NULL},
};

static const char *const (*const presets[])[2] = {NULL, ss_cmir};

/* Options of the run: they may differ between the parts of one run. */
static const char *const run_only[] = {"memory", "checkpoint-every", "resume", "force", NULL};

/* ---- presets ---- */

static const char *preset_word(int argc, char *const *argv)
{
    const char *found = NULL;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (!strncmp(argv[i], "--preset=", 9)) found = argv[i] + 9;
        if (!strcmp(argv[i], "--preset") && i + 1 < argc) found = argv[i + 1];
    }
    return found;
}

static void set(dip_train_options *options, const char *name, const char *value)
{
    dip_status status = dip_options_set(dip_train_table, options, name, value);
    assert(!status && "a preset must parse");
    (void)status;
}

void dip_train_options_init(dip_train_options *options, int argc, char *const *argv)
{
    const char *word = preset_word(argc, argv);
    dip_options_defaults(dip_train_table, options);
    if (!word || dip_options_set(dip_train_table, options, "preset", word)) {
        dip_error_clear();
        return;
    }
    for (const char *const(*row)[2] = presets[options->preset]; row && (*row)[0]; row++)
        set(options, (*row)[0], (*row)[1]);
}

/* ---- checks and parts ---- */

/* "32,64,128" into at most DIP_MAX_STAGES numbers. */
static dip_status read_list(const char *name, const char *text, uint32_t *out, uint32_t *count)
{
    const char *at = text;
    *count = 0;
    while (*count < DIP_MAX_STAGES) {
        char *end;
        unsigned long value = strtoul(at, &end, 10);
        if (end == at || *at < '0' || *at > '9' || value > 100000) break;
        out[(*count)++] = (uint32_t)value;
        if (!*end) return DIP_OK;
        if (*end != ',') break;
        at = end + 1;
    }
    return dip_fail(DIP_EINVAL, "option '%s': '%s' is not a list of one to %d whole numbers", name,
                    text, DIP_MAX_STAGES);
}

/* Of the layout's stage, where the images are smallest: in training, or when encoding. */
static uint32_t layout_side(const dip_train_options *options, dip_net_spec *spec)
{
    const uint32_t px = spec->input_px;
    if (options->encode_px && options->encode_px < px)
        spec->input_px = (uint32_t)options->encode_px;
    const uint32_t side = dip_net_spec_stage_side(spec, spec->layout_stage);
    spec->input_px = px;
    return side;
}

/* A net of fewer stages or smaller images has the layout that it can have. */
static void set_layout(const dip_train_options *options, dip_net_spec *spec)
{
    const uint32_t last = spec->stage_count - 1, stage = (uint32_t)options->layout_stage;
    spec->layout_grid = spec->layout_stage = spec->layout_channels = 0;
    spec->layout_centred = false;
    if (!options->layout_grid) return;
    spec->layout_stage = stage < last ? stage : last;
    const uint32_t side = layout_side(options, spec);
    spec->layout_grid = options->layout_grid < side ? (uint32_t)options->layout_grid : side;
    spec->layout_channels = (uint32_t)options->layout_channels;
    spec->layout_centred = options->layout_centred;
}

dip_status dip_train_network(const dip_train_options *options, dip_net_spec *spec)
{
    uint32_t stages, lists;
    dip_status status = read_list("widths", options->widths, spec->width, &stages);
    if (!status) status = read_list("blocks", options->blocks, spec->blocks, &lists);
    if (status) return status;
    if (stages != lists)
        return dip_fail(DIP_EINVAL, "option 'blocks': '%s' has %u numbers, 'widths' %u",
                        options->blocks, lists, stages);
    if (options->pool_stages > stages)
        return dip_fail(DIP_EINVAL, "option 'pool-stages': %lld, but 'widths' has %u stages",
                        (long long)options->pool_stages, stages);
    spec->input_px = (uint32_t)options->input_px;
    spec->stem_kernel = (uint32_t)options->stem_kernel;
    spec->stem_stride = (uint32_t)options->stem_stride;
    spec->stem_pool = options->stem_pool;
    spec->block = (dip_block_kind)options->block;
    spec->stage_count = stages;
    spec->shared_from = options->shared_from < stages ? (uint32_t)options->shared_from : stages;
    spec->pooling = (dip_pooling)options->pool;
    spec->pooled_before = (uint32_t)options->pool_stages - 1;
    spec->head = (dip_head)options->head;
    spec->head_shared = options->head_shared;
    spec->head_hidden = options->head ? (uint32_t)options->head_hidden : 0;
    spec->embed_dim = (uint32_t)options->embed_dim;
    set_layout(options, spec);
    return DIP_OK;
}

dip_augment dip_train_augment(const dip_train_options *o)
{
    return (dip_augment){.zoom_min = o->zoom_min,
                         .zoom_max = o->zoom_max,
                         .flips = o->flips,
                         .rotations = o->rotations,
                         .gain = o->gain,
                         .offset = o->offset,
                         .noise = o->noise,
                         .speckle = o->speckle,
                         .band_drop = o->band_drop,
                         .cutout = o->cutout};
}

dip_adamw dip_train_adamw(const dip_train_options *o)
{
    return (dip_adamw){.weight_decay = o->weight_decay,
                       .beta1 = o->beta1,
                       .beta2 = o->beta2,
                       .epsilon = o->epsilon,
                       .clip = o->clip};
}

dip_embed_spec dip_train_embedding(const dip_train_options *o)
{
    dip_embed_spec spec = {.views = (uint32_t)o->embed_views};
    spec.part[DIP_Z] = (dip_embed_part){o->embed_z, (dip_embed_form)o->embed_z_form};
    spec.part[DIP_H] = (dip_embed_part){o->embed_h, (dip_embed_form)o->embed_h_form};
    if (o->layout_grid)
        spec.part[DIP_LAYOUT] =
            (dip_embed_part){o->embed_layout, (dip_embed_form)o->embed_layout_form};
    return spec;
}

dip_status dip_train_name_check(const char *name)
{
    static const char *const safe =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(name);
    if (length && length <= 64 && name[0] != '.' && strspn(name, safe) == length) return DIP_OK;
    return dip_fail(DIP_EINVAL,
                    "option 'name': '%s' must be 1 to 64 letters, digits, '-', '_' or '.'", name);
}

/* A part of the embedding that no loss teaches would be chance. */
static dip_status check_taught(const dip_train_options *o)
{
    const bool projection = o->mim > 0 || o->soft > 0 || (o->mde > 0 && o->mde_on == DIP_Z);
    if (!projection && o->epochs && o->embed_z > 0)
        return dip_fail(DIP_EINVAL,
                        "option 'embed-z' is %g, but no loss teaches the projection: make it 0, or "
                        "'mim' or 'soft' more",
                        o->embed_z);
    if (!(o->layout > 0) && o->layout_grid && o->epochs && o->embed_layout > 0)
        return dip_fail(
            DIP_EINVAL,
            "option 'embed-layout' is %g, but no loss teaches the layout: make it 0, or "
            "'layout' more",
            o->embed_layout);
    return DIP_OK;
}

dip_status dip_train_options_check(const dip_train_options *options)
{
    dip_net_spec spec;
    dip_embed_spec embedding = dip_train_embedding(options);
    dip_status status = dip_train_name_check(options->name);
    if (!status) status = dip_train_network(options, &spec);
    if (!status) status = dip_embed_spec_check(&embedding);
    if (status) return status;
    if (!options->init && (!options->epochs || options->freeze || options->init_bands))
        return dip_fail(DIP_EINVAL,
                        "option '%s' needs weights to begin with: name them with --init",
                        !options->epochs  ? "epochs = 0"
                        : options->freeze ? "freeze"
                                          : "init-bands");
    if (options->zoom_min > options->zoom_max)
        return dip_fail(DIP_EINVAL, "option 'zoom-min': %g is more than 'zoom-max', %g",
                        options->zoom_min, options->zoom_max);
    if (options->queue && options->queue < options->batch)
        return dip_fail(DIP_EINVAL, "option 'queue': %lld is less than 'batch', %lld",
                        (long long)options->queue, (long long)options->batch);
    bool looks_back = options->msp != 0 || options->soft > 0 || options->queue_negatives;
    if (options->queue ? !looks_back : options->queue_negatives)
        return dip_fail(DIP_EINVAL,
                        options->queue
                            ? "option 'queue': nothing looks into it without 'msp', 'soft' or "
                              "'queue-negatives'"
                            : "option 'queue-negatives' needs a 'queue' of some pairs");
    if (options->patience && !options->eval_every)
        return dip_fail(DIP_EINVAL, "option 'patience' counts evaluations, but 'eval-every' is 0");
    const bool layout = options->layout_grid && options->layout > 0;
    if (!(options->mim > 0 || options->soft > 0 || options->mde > 0 || layout))
        return dip_fail(DIP_EINVAL, "options 'mim', 'layout', 'soft' and 'mde' are all 0: nothing "
                                    "would draw the modalities together");
    return check_taught(options);
}

/* ---- as text ---- */

char *dip_train_options_text(const dip_train_options *options)
{
    return dip_options_text(dip_train_table, options, run_only);
}
