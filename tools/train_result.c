/* Results of training; see train_result.h. */
#include "tools/train_result.h"

#include "core/format.h"
#include "train/held.h"

#include <math.h>

void dip_train_result_print(const dip_train_result *r)
{
    char pairs[48];
    if (!r->held_pairs) return;
    dip_format_things(r->held_pairs, "held-out pair", pairs, sizeof pairs);
    printf("pair recall@%d of %s: %.3f forward, %.3f backward (by chance %.3f)\n", DIP_HELD_K,
           pairs, r->recall[0], r->recall[1], fmin(1, DIP_HELD_K / (double)r->held_pairs));
}

void dip_train_result_json(dip_json *j, const dip_train_result *r)
{
    dip_json_text(j, "model", r->model);
    dip_json_flag(j, "already", r->already);
    dip_json_count(j, "resumed_from", r->resumed_from);
    dip_json_count(j, "steps", r->steps);
    dip_json_count(j, "pairs", r->pairs);
    dip_json_count(j, "held_pairs", r->held_pairs);
    dip_json_real(j, "recall_forward", r->recall[0], 6);
    dip_json_real(j, "recall_backward", r->recall[1], 6);
    dip_json_real(j, "seconds", r->seconds, 3);
}
