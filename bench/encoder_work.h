/** A network with input and upstream gradient, and the pieces of its work that benchmarks time. */
#ifndef BENCH_ENCODER_WORK_H
#define BENCH_ENCODER_WORK_H

#include "encoder/graph.h"
#include "train/optimiser.h"

typedef struct bench_work {
    dip_net *net;
    dip_optimiser *optimiser; /* TRAIN */
    size_t batch;
    float *input, *h, *z, *dz;
} bench_work;

/** The spec of "resnet10" (width 32, 3x3 stem), "resnet18" or "resnet50"; stem_stride 0: the usual. An unknown net ends the program. */
dip_net_spec bench_spec(const char *net, uint32_t px, uint32_t bands, uint32_t stem_stride);

/** Weights of dip_net_init(), normal input. Failures end the program. */
void bench_work_open(bench_work *w, const dip_net_spec *spec, size_t batch, dip_net_mode mode);
void bench_work_close(bench_work *w);

/* One call each, of `context`, a bench_work. */
void bench_forward(void *context);  /* with batch statistics, TRAIN */
void bench_backward(void *context); /* of the last bench_forward() */
void bench_update(void *context);   /* AdamW, and what the kernels need after it */
void bench_step(void *context);     /* all three */
void bench_encode(void *context);   /* INFER */
void bench_use_int8(bench_work *w); /* INFER: from here on */

/** Operations an image of all convolutions: forward; or forward and backward. */
double bench_flops(const dip_net *net, bool backward);

/** One convolution of a TRAIN net with memory to work on. */
typedef struct bench_conv {
    const bench_work *work;
    const dip_layer *layer;
    dip_bf16 *in, *out, *gradient; /* gradient: of `in` */
} bench_conv;

void bench_conv_forward(void *context);
void bench_conv_data(void *context); /* nothing in the first layer */
void bench_conv_weights(void *context);

/** Memory for any layer of the net, filled with noise. */
void bench_conv_open(bench_conv *c, const bench_work *w);
void bench_conv_close(bench_conv *c);

#endif
