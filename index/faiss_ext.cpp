/*
 * Extensions of FAISS's C API; see faiss_ext.h.
 *
 * Parameters of one search: an IVF fast-scan index takes nprobe from its own field, so setting it per search would be
 * a data race. Each search therefore makes a `View` on the stack: an index of the same kind that borrows the
 * coarse quantiser, the lists, the code books and the precomputed tables, and owns nothing but its nprobe.
 */
#include "index/faiss_ext.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/IndexRefine.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/io.h>
#include <faiss/impl/pq4_fast_scan.h>
#include <faiss/index_io.h>
#include <faiss/invlists/BlockInvertedLists.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <numeric>
#include <vector>

/* Declared here and not taken from omp.h: the process has GCC's runtime whatever compiles this, and clang brings no such header. */
extern "C" {
int omp_get_max_threads(void);
void omp_set_num_threads(int threads);
}

namespace {

using faiss::Index;
using idx_t = faiss::Index::idx_t;

struct OmpAlone {
    int before = dip_omp_alone();
    ~OmpAlone() { dip_omp_restore(before); }
};

void note(dip_faiss_error *error, const char *text)
{
    std::snprintf(error->text, sizeof error->text, "%s", text);
}

/* Runs `body` and turns what it throws into a code and a line. */
template <class Body> int guarded(dip_faiss_error *error, Body body)
{
    try {
        OmpAlone alone;
        body();
        return 0;
    } catch (const std::bad_alloc &) {
        note(error, "out of memory");
        return DIP_FAISS_NO_MEMORY;
    } catch (const faiss::FaissException &failure) {
        note(error, failure.msg.c_str());
    } catch (const std::exception &failure) {
        note(error, failure.what());
    } catch (...) {
        note(error, "unknown exception");
    }
    return DIP_FAISS_FAILED;
}

const Index *unwrap(const FaissIndex_H *index) { return reinterpret_cast<const Index *>(index); }

/* The three parts of an index of ours. */
struct Parts {
    faiss::IndexRefine *refine;
    faiss::IndexIVFPQFastScan *ivf;
    faiss::IndexScalarQuantizer *store;

    explicit Parts(const FaissIndex_H *index)
    {
        refine = dynamic_cast<faiss::IndexRefine *>(const_cast<Index *>(unwrap(index)));
        ivf = refine ? dynamic_cast<faiss::IndexIVFPQFastScan *>(refine->base_index) : nullptr;
        store =
            refine ? dynamic_cast<faiss::IndexScalarQuantizer *>(refine->refine_index) : nullptr;
        if (!ivf || !store)
            throw faiss::FaissException("not an IVF fast-scan index with refinement");
    }

    const faiss::IndexFlat *coarse() const
    {
        return dynamic_cast<const faiss::IndexFlat *>(ivf->quantizer);
    }
    faiss::BlockInvertedLists *lists() const
    {
        return dynamic_cast<faiss::BlockInvertedLists *>(ivf->invlists);
    }
};

void check(bool fine, const char *text)
{
    if (!fine) throw faiss::FaissException(text);
}

/* K-means asks for the nearest centroid of all training vectors at once: k = 1. */
struct Assigner : faiss::IndexFlatL2 {
    dip_faiss_assign_fn fn;
    void *context;

    Assigner(size_t dim, dip_faiss_assign_fn function, void *payload)
        : faiss::IndexFlatL2((idx_t)dim), fn(function), context(payload)
    {
    }

    void search(idx_t n, const float *x, idx_t k, float *distances, idx_t *labels,
                const faiss::SearchParameters *) const override
    {
        check(k == 1, "an assigner finds one centroid");
        if (fn(context, x, (size_t)n, get_xb(), (size_t)ntotal, (size_t)d, labels, distances))
            throw faiss::FaissException("stopped");
    }
};

struct View : faiss::IndexIVFFastScan {
    const faiss::IndexIVFPQFastScan &shared;

    View(const faiss::IndexIVFPQFastScan &index, size_t probes) : shared(index)
    {
        d = index.d;
        metric_type = index.metric_type;
        ntotal = index.ntotal;
        is_trained = index.is_trained;
        quantizer = index.quantizer;
        nlist = index.nlist;
        invlists = index.invlists;
        own_fields = own_invlists = false;
        code_size = index.code_size;
        nprobe = probes;
        bbs = index.bbs;
        M = index.M;
        M2 = index.M2;
        nbits = index.nbits;
        ksub = index.ksub;
        by_residual = index.by_residual;
    }

    bool lookup_table_is_3d() const override { return true; }

    void encode_vectors(idx_t, const float *, const idx_t *, uint8_t *, bool) const override
    {
        throw faiss::FaissException("a view is only searched");
    }

    /*
     * Residual L2, split as |x - c - r|^2 = |x - c|^2 + (|r|^2 + 2 c.r) - 2 x.r: the first term is the bias of a
     * list, the second stands in the precomputed tables, the third is one table a query.
     */
    void compute_LUT(size_t n, const float *x, const idx_t *coarse_ids, const float *coarse_dis,
                     faiss::AlignedTable<float> &tables,
                     faiss::AlignedTable<float> &biases) const override
    {
        size_t entries = M * ksub;
        tables.resize(n * nprobe * entries);
        biases.resize(n * nprobe);
        std::memcpy(biases.get(), coarse_dis, n * nprobe * sizeof(float));
        std::vector<float> products(n * entries);
        shared.pq.compute_inner_prod_tables(n, x, products.data());
        for (size_t i = 0; i < n * nprobe; i++) {
            float *table = tables.get() + i * entries;
            const float *product = products.data() + i / nprobe * entries;
            if (coarse_ids[i] < 0) {
                std::fill(table, table + entries, NAN); /* ignored when the table is quantised */
                continue;
            }
            const float *known = shared.precomputed_table.get() + (size_t)coarse_ids[i] * entries;
            for (size_t j = 0; j < entries; j++) table[j] = known[j] - 2 * product[j];
        }
    }
};

struct MemoryReader : faiss::IOReader {
    const char *at;
    size_t left;

    MemoryReader(const void *bytes, size_t length)
        : at(static_cast<const char *>(bytes)), left(length)
    {
    }

    size_t operator()(void *to, size_t size, size_t items) override
    {
        if (size == 0 || items == 0) return 0;
        size_t whole = std::min(items, left / size);
        std::memcpy(to, at, whole * size);
        at += whole * size;
        left -= whole * size;
        return whole;
    }
};

/* Puts rows `first`..`last` - 1 of `order`, all of one list, behind what the list holds. */
void append_to_list(const Parts &parts, size_t list, const uint32_t *first, const uint32_t *last,
                    const uint8_t *codes)
{
    const faiss::IndexIVFPQFastScan &ivf = *parts.ivf;
    faiss::BlockInvertedLists *lists = parts.lists();
    size_t held = lists->list_size(list), added = (size_t)(last - first);
    faiss::AlignedTable<uint8_t> flat(added * ivf.code_size);
    lists->resize(list, held + added);
    for (size_t i = 0; i < added; i++) {
        lists->ids[list][held + i] = ivf.ntotal + first[i];
        std::memcpy(flat.get() + i * ivf.code_size, codes + first[i] * ivf.code_size,
                    ivf.code_size);
    }
    faiss::pq4_pack_codes_range(flat.get(), ivf.M, held, held + added, (size_t)ivf.bbs, ivf.M2,
                                lists->codes[list].get());
}

/*
 * One code of a list as FAISS packs it: 32 vectors and two codes take 32 bytes, the even code 16 of them; a byte has
 * vector v low and v + 16 high, and the bytes belong to v = 0, 8, 1, 9, ... FAISS's own accessor fails beyond 16 codes.
 */
unsigned packed_code(const uint8_t *packed, size_t codes, size_t vector, size_t code)
{
    size_t v = vector % 32, byte = v % 8 * 2 + v % 16 / 8 + code % 2 * 16;
    return packed[(vector / 32 * codes + code / 2 * 2) * 16 + byte] >> (v / 16 * 4) & 15;
}

} // namespace

int dip_omp_alone(void)
{
    int before = omp_get_max_threads();
    if (before != 1) omp_set_num_threads(1);
    return before;
}

void dip_omp_restore(int before)
{
    if (before != 1) omp_set_num_threads(before);
}

int dip_faiss_assigner_new(FaissIndex_H **out, size_t dim, dip_faiss_assign_fn fn, void *context,
                           dip_faiss_error *error)
{
    return guarded(error, [&] {
        *out =
            reinterpret_cast<FaissIndex_H *>(static_cast<Index *>(new Assigner(dim, fn, context)));
    });
}

int dip_faiss_read(FaissIndex_H **out, const void *bytes, size_t length, dip_faiss_error *error)
{
    return guarded(error, [&] {
        MemoryReader reader(bytes, length);
        *out = reinterpret_cast<FaissIndex_H *>(faiss::read_index(&reader, 0));
    });
}

int dip_faiss_shape_get(const FaissIndex_H *index, dip_faiss_shape *shape, dip_faiss_error *error)
{
    return guarded(error, [&] {
        Parts parts(index);
        const faiss::IndexIVFPQFastScan &ivf = *parts.ivf;
        check(parts.coarse() && parts.lists(), "its lists are of an unknown kind");
        check(parts.refine->metric_type == faiss::METRIC_L2 &&
                  ivf.metric_type == faiss::METRIC_L2 && ivf.by_residual && ivf.bbs == 32 &&
                  ivf.nbits == 4,
              "it is of another recipe");
        check(parts.store->sq.qtype == faiss::ScalarQuantizer::QT_fp16,
              "its refinement is not fp16");
        check(parts.store->ntotal == ivf.ntotal && parts.refine->ntotal == ivf.ntotal &&
                  parts.store->d == ivf.d && parts.coarse()->d == ivf.d &&
                  parts.coarse()->ntotal == (idx_t)ivf.nlist,
              "its parts do not fit together");
        check(ivf.use_precomputed_table == 1 &&
                  ivf.precomputed_table.size() == ivf.nlist * ivf.M * ivf.ksub,
              "its tables do not fit its lists");
        *shape = {(size_t)ivf.d,
                  (size_t)ivf.ntotal,
                  ivf.nlist,
                  ivf.M,
                  ivf.code_size,
                  parts.coarse()->get_xb(),
                  ivf.pq.centroids.data()};
    });
}

int dip_faiss_prepare(FaissIndex_H *index, const float *centroids, int seed, FaissIndex_H *assigner,
                      dip_faiss_error *error)
{
    return guarded(error, [&] {
        Parts parts(index);
        parts.ivf->quantizer->reset();
        parts.ivf->quantizer->add((idx_t)parts.ivf->nlist, centroids);
        parts.ivf->pq.cp.seed = seed;
        parts.ivf->pq.cp.min_points_per_centroid = 1;
        parts.ivf->pq.assign_index = reinterpret_cast<Index *>(assigner);
    });
}

int dip_faiss_release(FaissIndex_H *index, dip_faiss_error *error)
{
    return guarded(error, [&] { Parts(index).ivf->pq.assign_index = nullptr; });
}

int dip_faiss_append(FaissIndex_H *index, const float *vectors, size_t n, const uint32_t *lists,
                     const uint8_t *codes, dip_faiss_error *error)
{
    return guarded(error, [&] {
        Parts parts(index);
        std::vector<uint32_t> order(n);
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(),
                         [&](uint32_t a, uint32_t b) { return lists[a] < lists[b]; });
        for (size_t i = 0, j; i < n; i = j) {
            uint32_t list = lists[order[i]];
            for (j = i + 1; j < n && lists[order[j]] == list; j++) continue;
            append_to_list(parts, list, &order[i], order.data() + j, codes);
        }
        parts.ivf->ntotal += (idx_t)n;
        parts.store->add((idx_t)n, vectors);
        parts.refine->ntotal = parts.ivf->ntotal;
    });
}

int dip_faiss_list(const FaissIndex_H *index, size_t list, size_t *held, int64_t *locals,
                   uint8_t *codes, dip_faiss_error *error)
{
    return guarded(error, [&] {
        Parts parts(index);
        const faiss::IndexIVFPQFastScan &ivf = *parts.ivf;
        const faiss::BlockInvertedLists *lists = parts.lists();
        check(lists && list < ivf.nlist, "there is no such list");
        *held = lists->list_size(list);
        if (locals) std::copy_n(lists->ids[list].data(), *held, locals);
        if (!codes) return;
        std::memset(codes, 0, *held * ivf.code_size);
        for (size_t i = 0; i < *held * ivf.M; i++) {
            size_t vector = i / ivf.M, m = i % ivf.M;
            unsigned code = packed_code(lists->codes[list].get(), ivf.M2, vector, m);
            codes[vector * ivf.code_size + m / 2] |= (uint8_t)(code << (m % 2 * 4));
        }
    });
}

int dip_faiss_set_defaults(FaissIndex_H *index, size_t nprobe, float depth, dip_faiss_error *error)
{
    return guarded(error, [&] {
        Parts parts(index);
        parts.ivf->nprobe = nprobe;
        parts.refine->k_factor = depth;
    });
}

int dip_faiss_candidates(const FaissIndex_H *index, const float *queries, size_t nq, size_t nprobe,
                         size_t fetch, int64_t *locals, float *distances, dip_faiss_error *error)
{
    return guarded(error, [&] {
        View view(*Parts(index).ivf, nprobe);
        view.search((idx_t)nq, queries, (idx_t)fetch, distances, locals);
    });
}

int dip_faiss_scores(const FaissIndex_H *index, const float *query, const uint32_t *locals,
                     size_t n, float *scores, dip_faiss_error *error)
{
    return guarded(error, [&] {
        const faiss::IndexScalarQuantizer &store = *Parts(index).store;
        std::unique_ptr<faiss::ScalarQuantizer::SQDistanceComputer> computer(
            store.sq.get_distance_computer(faiss::METRIC_INNER_PRODUCT));
        computer->code_size = store.sq.code_size;
        computer->codes = store.codes.data();
        computer->set_query(query);
        for (size_t i = 0; i < n; i++) scores[i] = (*computer)(locals[i]);
    });
}

int dip_faiss_decode(const FaissIndex_H *index, size_t first, size_t n, float *vectors,
                     dip_faiss_error *error)
{
    return guarded(error,
                   [&] { Parts(index).store->reconstruct_n((idx_t)first, (idx_t)n, vectors); });
}
