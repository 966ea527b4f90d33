/* The two nomenclatures of BigEarthNet; see labels.h (Sumbul et al., BigEarthNet-MM, 2021, table 1). */
#include "ingest/labels.h"

#include "core/mem.h"

#include <stdbool.h>
#include <string.h>

static const char *const names19[DIP_LABELS_19] = {
    "Urban fabric",
    "Industrial or commercial units",
    "Arable land",
    "Permanent crops",
    "Pastures",
    "Complex cultivation patterns",
    "Land principally occupied by agriculture, with significant areas of natural vegetation",
    "Agro-forestry areas",
    "Broad-leaved forest",
    "Coniferous forest",
    "Mixed forest",
    "Natural grassland and sparsely vegetated areas",
    "Moors, heathland and sclerophyllous vegetation",
    "Transitional woodland, shrub",
    "Beaches, dunes, sands",
    "Inland wetlands",
    "Coastal wetlands",
    "Inland waters",
    "Marine waters",
};

static const struct {
    const char *name;
    int joined; /* index into names19, or -1 */
} classes[DIP_LABELS_43] = {
    {"Continuous urban fabric", 0},
    {"Discontinuous urban fabric", 0},
    {"Industrial or commercial units", 1},
    {"Road and rail networks and associated land", -1},
    {"Port areas", -1},
    {"Airports", -1},
    {"Mineral extraction sites", -1},
    {"Dump sites", -1},
    {"Construction sites", -1},
    {"Green urban areas", -1},
    {"Sport and leisure facilities", -1},
    {"Non-irrigated arable land", 2},
    {"Permanently irrigated land", 2},
    {"Rice fields", 2},
    {"Vineyards", 3},
    {"Fruit trees and berry plantations", 3},
    {"Olive groves", 3},
    {"Pastures", 4},
    {"Annual crops associated with permanent crops", 3},
    {"Complex cultivation patterns", 5},
    {"Land principally occupied by agriculture, with significant areas of natural vegetation", 6},
    {"Agro-forestry areas", 7},
    {"Broad-leaved forest", 8},
    {"Coniferous forest", 9},
    {"Mixed forest", 10},
    {"Natural grassland", 11},
    {"Moors and heathland", 12},
    {"Sclerophyllous vegetation", 12},
    {"Transitional woodland/shrub", 13},
    {"Beaches, dunes, sands", 14},
    {"Bare rock", -1},
    {"Sparsely vegetated areas", 11},
    {"Burnt areas", -1},
    {"Inland marshes", 15},
    {"Peatbogs", 15},
    {"Salt marshes", 16},
    {"Salines", 16},
    {"Intertidal flats", -1},
    {"Water courses", 17},
    {"Water bodies", 17},
    {"Coastal lagoons", 18},
    {"Estuaries", 18},
    {"Sea and ocean", 18},
};

const char *dip_labels_name43(unsigned index)
{
    return index < DIP_LABELS_43 ? classes[index].name : NULL;
}

const char *dip_labels_name19(unsigned index)
{
    return index < DIP_LABELS_19 ? names19[index] : NULL;
}

int dip_labels_map(unsigned index43)
{
    return index43 < DIP_LABELS_43 ? classes[index43].joined : -1;
}

static bool same(const char *name, const char *text, size_t length)
{
    return strlen(name) == length && !memcmp(name, text, length);
}

/* Marks the class that a name stands for; false if no nomenclature has it. */
static bool mark(bool present[DIP_LABELS_19], const char *text, size_t length)
{
    for (unsigned i = 0; i < DIP_LABELS_43; i++) {
        if (!same(classes[i].name, text, length)) continue;
        if (classes[i].joined >= 0) present[classes[i].joined] = true;
        return true;
    }
    for (unsigned i = 0; i < DIP_LABELS_19; i++) {
        if (!same(names19[i], text, length)) continue;
        present[i] = true;
        return true;
    }
    return false;
}

dip_status dip_labels_to19(char **out, const char *labels)
{
    bool present[DIP_LABELS_19] = {false};
    for (const char *at = labels; *at;) {
        size_t length = strcspn(at, "|");
        if (!mark(present, at, length))
            return dip_fail(DIP_EFORMAT, "label '%.*s' is not in the CORINE nomenclature",
                            (int)(length < 200 ? length : 200), at);
        at += length + (at[length] == '|');
    }
    size_t need = 1;
    for (unsigned i = 0; i < DIP_LABELS_19; i++) need += present[i] ? strlen(names19[i]) + 1 : 0;
    char *joined = dip_alloc(need), *end = joined;
    if (!joined) return DIP_ENOMEM;
    for (unsigned i = 0; i < DIP_LABELS_19; i++) {
        if (!present[i]) continue;
        if (end > joined) *end++ = '|';
        size_t length = strlen(names19[i]);
        memcpy(end, names19[i], length);
        end += length;
    }
    *end = '\0';
    *out = joined;
    return DIP_OK;
}
