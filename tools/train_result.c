/* Results of training; see train_result.h. */
#include "tools/train_result.h"

#include "train/held.h"

void dip_train_result_print(const dip_train_result *r)
{
    if (r->held_pairs)
        printf("pair recall@%d on held-out pairs: %.3f forward, %.3f backward\n", DIP_HELD_K,
               r->recall[0], r->recall[1]);
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
