/**
 * Every knob of training: one struct, one table. The command line, config.ini of a run and the model's metadata all
 * come from the table; presets are named sets of values.
 */
#ifndef TRAIN_OPTIONS_H
#define TRAIN_OPTIONS_H

#include "core/options.h"
#include "encoder/embed.h"
#include "encoder/spec.h"
#include "train/augment.h"
#include "train/loss.h"
#include "train/optimiser.h"

typedef enum dip_ramp { DIP_RAMP_NONE, DIP_RAMP_GEOMETRIC } dip_ramp;
typedef enum dip_statistics { DIP_STATISTICS_MEASURE, DIP_STATISTICS_ARCHIVE } dip_statistics;
typedef enum dip_keep { DIP_KEEP_LAST, DIP_KEEP_BEST } dip_keep;

/** Texts are borrowed from the command line, or are defaults. */
typedef struct dip_train_options {
    int preset;
    const char *name, *modalities;
    int64_t seed, epochs, batch, memory_mb;
    double pairs_share;
    int statistics; /* dip_statistics */
    const char *init, *init_bands;
    bool freeze;
    /* network */
    int64_t input_px, encode_px, stem_kernel, stem_stride;
    bool stem_pool, layout_centred;
    int block; /* dip_block_kind */
    const char *widths, *blocks;
    int pool; /* dip_pooling */
    int64_t pool_stages;
    int64_t shared_from;
    int head; /* dip_head */
    bool head_shared, zero_last;
    int64_t head_hidden, embed_dim, layout_grid, layout_stage, layout_channels;
    /* losses */
    double mim, temperature, smoothing, layout, layout_temperature;
    bool within;
    double soft, soft_temperature, soft_start;
    int soft_source, soft_on; /* the latter and those below: dip_output, z or h */
    double mde;
    int mde_form, mde_on;
    double msp;
    int msp_source, msp_on;
    double sigreg;
    int64_t sigreg_directions;
    int sigreg_on;
    int64_t queue;
    bool queue_negatives;
    int ramp; /* dip_ramp, of mde, msp and soft */
    double ramp_from;
    /* optimiser */
    double rate, weight_decay, beta1, beta2, epsilon, warmup, clip, average, momentum;
    int decay; /* dip_decay */
    /* augmentation */
    double zoom_min, zoom_max, gain, offset, noise, speckle, band_drop, cutout;
    bool flips, rotations, independent;
    /* embedding */
    double embed_z, embed_h, embed_layout;
    int embed_z_form, embed_h_form, embed_layout_form;
    int64_t embed_views;
    /* the run; these do not change what is learned */
    int64_t eval_every, checkpoint_every, patience;
    int keep; /* dip_keep */
    bool resume, force;
} dip_train_options;

extern const dip_option dip_train_table[];

/**
 * Fills in the defaults, then what the preset named in argv ("--preset x" or "--preset=x") changes. Called before
 * the command line is parsed, which then has the last word. An unknown preset is left for the parser to refuse.
 */
void dip_train_options_init(dip_train_options *options, int argc, char *const *argv);

/** A name becomes a folder and a file. DIP_EINVAL if it cannot. */
dip_status dip_train_name_check(const char *name);

/** What belongs together, checked: counts, windows, weights. DIP_EINVAL names the option. */
dip_status dip_train_options_check(const dip_train_options *options);

/** The parts that the options describe. Modalities of `spec` are the caller's to fill in. */
dip_status dip_train_network(const dip_train_options *options, dip_net_spec *spec);
dip_augment dip_train_augment(const dip_train_options *options);
dip_adamw dip_train_adamw(const dip_train_options *options);
dip_embed_spec dip_train_embedding(const dip_train_options *options);

/**
 * "name = value" lines of all options that decide what is learned, in the table's order; free with dip_free(). NULL
 * when memory is short.
 */
char *dip_train_options_text(const dip_train_options *options);

#endif
