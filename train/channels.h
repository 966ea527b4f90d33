/**
 * What the input channels of an encoder that was trained elsewhere show, and how they meet the bands of an archive.
 *
 * Weights do not tell which bands they were trained on, in which order, or how pixels were normalised. The user does:
 * with a list of bands, or with the name of a published set, which brings mean and deviation of each channel along.
 */
#ifndef TRAIN_CHANNELS_H
#define TRAIN_CHANNELS_H

#include <diptych/status.h>
#include <diptych/tile.h>

#define DIP_NO_CHANNEL UINT32_MAX

typedef struct dip_channel {
    char band[DIP_WORD_CAPACITY]; /* "-": no band, left out */
    double mean, stddev;          /* of the input that it was trained on; stddev 0: not known */
} dip_channel;

typedef struct dip_channels {
    uint32_t count;
    const char *unit; /* of mean and stddev, in the words of dip_band; "" = not known */
    dip_channel channel[DIP_MAX_BANDS];
} dip_channels;

/**
 * Reads "VV,VH", with "-" for a channel to leave out, or the name of a published set. DIP_EINVAL: neither, or not of
 * `count` channels; the sets are named.
 */
dip_status dip_channels_read(dip_channels *out, const char *text, uint32_t count);

/**
 * Finds the channel of each of a modality's bands, DIP_NO_CHANNEL where there is none. A channel without a band is
 * the same as one that is always zero, its mean if there is one. Names meet without regard to case and leading zeros
 * (B8a, B02). DIP_EINVAL: a channel's band is not there (but for those of the atmosphere, B01, B09 and B10 of a
 * published set), or has another unit.
 */
dip_status dip_channels_match(const dip_channels *channels, const dip_modality *modality,
                              uint32_t channel_of[DIP_MAX_BANDS]);

/**
 * Puts the channels' statistics where they are known in place of the bands' own. DIP_EINVAL: they are so far apart that
 * the pixels must have another scale.
 */
dip_status dip_channels_normalise(const dip_channels *channels,
                                  const uint32_t channel_of[DIP_MAX_BANDS], dip_modality *modality);

/** "B01, B10": bands of channels that no band of the archive uses; "" if there are none. */
void dip_channels_unused(const dip_channels *channels, const dip_modality *modality,
                         const uint32_t channel_of[DIP_MAX_BANDS], char *out, size_t capacity);

#endif
