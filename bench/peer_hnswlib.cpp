/*
 * hnswlib as a peer of `diptych bench`: a program that speaks the protocol of docs/bench.md. Parameters of building are M
 * and ef_construction, of searching ef. It is compiled for the machine that it is built on, so that hnswlib has the best
 * instructions there are; vectors are compared by L2, which on unit vectors is the order of the cosine.
 */
#include <hnswlib/hnswlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using Fields = std::map<std::string, std::string>;
using Index = hnswlib::HierarchicalNSW<float>;

double wall_seconds()
{
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

double cpu_seconds()
{
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/* An .fbin file, mapped. */
class Table {
  public:
    explicit Table(const std::string &path)
    {
        int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        struct stat s;
        if (file < 0 || fstat(file, &s)) throw std::runtime_error("cannot open " + path);
        length_ = static_cast<size_t>(s.st_size);
        bytes_ = mmap(nullptr, length_, PROT_READ, MAP_PRIVATE, file, 0);
        close(file);
        if (bytes_ == MAP_FAILED) throw std::runtime_error("cannot map " + path);
        const auto *head = static_cast<const uint32_t *>(bytes_);
        rows = head[0];
        dim = head[1];
        if (length_ != 8 + rows * dim * sizeof(float))
            throw std::runtime_error(path + " was cut off");
    }
    ~Table() { munmap(bytes_, length_); }
    Table(const Table &) = delete;
    Table &operator=(const Table &) = delete;

    const float *row(size_t i) const
    {
        return reinterpret_cast<const float *>(static_cast<const char *>(bytes_) + 8) + i * dim;
    }

    size_t rows = 0, dim = 0;

  private:
    void *bytes_ = nullptr;
    size_t length_ = 0;
};

/* Runs fn(i) for 0..n-1 on `threads` threads, the caller's among them. */
void parallel(size_t n, size_t threads, const std::function<void(size_t)> &fn)
{
    std::atomic<size_t> next{0};
    auto work = [&] {
        for (size_t i; (i = next++) < n;) fn(i);
    };
    std::vector<std::thread> others;
    for (size_t t = 1; t < std::min(threads, n); t++) others.emplace_back(work);
    work();
    for (auto &t : others) t.join();
}

std::string text(const Fields &fields, const std::string &name)
{
    auto at = fields.find(name);
    if (at == fields.end()) throw std::runtime_error("there is no " + name + "=");
    return at->second;
}

size_t whole(const Fields &fields, const std::string &name)
{
    size_t end = 0, value = 0;
    const std::string words = text(fields, name);
    try {
        value = std::stoull(words, &end);
    } catch (const std::exception &) {
        end = 0;
    }
    if (end == 0 || end != words.size() || value == 0)
        throw std::runtime_error(name + "=" + words + " is no whole number from 1");
    return value;
}

void write_table(const std::string &path, const void *values, size_t rows, size_t dim)
{
    const uint32_t head[2] = {static_cast<uint32_t>(rows), static_cast<uint32_t>(dim)};
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char *>(head), sizeof head);
    out.write(static_cast<const char *>(values), static_cast<std::streamsize>(4 * rows * dim));
    out.close();
    if (!out) throw std::runtime_error("cannot write " + path);
}

class Peer {
  public:
    void answer(const std::string &word, const Fields &fields)
    {
        if (word == "build")
            build(fields);
        else if (word == "open")
            reopen(fields);
        else if (word == "search")
            search(fields);
        else
            throw std::runtime_error("there is no request " + word);
    }

  private:
    static std::string path_of(const Fields &fields)
    {
        return text(fields, "folder") + "/hnsw.bin";
    }

    /* An index weighs what its file does. */
    void tell(const char *word, const Fields &fields, double wall, double cpu) const
    {
        struct stat s = {};
        stat(path_of(fields).c_str(), &s);
        std::printf("%s\tseconds=%.6f\tcpu=%.6f\tbytes=%lld\tdescribe=HNSW%zu\n", word, wall, cpu,
                    static_cast<long long>(s.st_size), whole(fields, "M"));
    }

    void build(const Fields &fields)
    {
        const Table base(text(fields, "base"));
        const size_t threads = whole(fields, "threads");
        double wall = wall_seconds(), cpu = cpu_seconds(), told = wall;
        index_.reset();
        space_ = std::make_unique<hnswlib::L2Space>(base.dim);
        index_ = std::make_unique<Index>(space_.get(), base.rows, whole(fields, "M"),
                                         whole(fields, "ef_construction"), 1);
        index_->addPoint(base.row(0), 0);
        const size_t step = 1024;
        for (size_t first = 1; first < base.rows; first += step) {
            parallel(std::min(step, base.rows - first), threads,
                     [&](size_t i) { index_->addPoint(base.row(first + i), first + i); });
            if (wall_seconds() < told + 0.5) continue;
            told = wall_seconds();
            std::printf("progress\tdone=%zu\ttotal=%zu\n", first, base.rows);
            std::fflush(stdout);
        }
        wall = wall_seconds() - wall;
        cpu = cpu_seconds() - cpu;
        dim_ = base.dim;
        index_->saveIndex(path_of(fields));
        tell("built", fields, wall, cpu);
    }

    void reopen(const Fields &fields)
    {
        const Table base(text(fields, "base"));
        double wall = wall_seconds(), cpu = cpu_seconds();
        index_.reset();
        space_ = std::make_unique<hnswlib::L2Space>(base.dim);
        index_ = std::make_unique<Index>(space_.get(), path_of(fields));
        dim_ = base.dim;
        tell("opened", fields, wall_seconds() - wall, cpu_seconds() - cpu);
    }

    void find(const float *query, size_t k, int32_t *out) const
    {
        auto found = index_->searchKnn(query, k);
        std::fill(out, out + k, -1);
        for (size_t i = found.size(); i-- > 0; found.pop())
            out[i] = static_cast<int32_t>(found.top().second);
    }

    void search(const Fields &fields)
    {
        if (!index_) throw std::runtime_error("search before build");
        const Table queries(text(fields, "queries"));
        const size_t k = whole(fields, "k"), batch = whole(fields, "batch");
        const size_t threads = whole(fields, "threads");
        if (queries.dim != dim_) throw std::runtime_error("the queries are of another dimension");
        index_->setEf(whole(fields, "ef"));
        std::vector<int32_t> ids(queries.rows * k);
        std::vector<float> latencies;
        double cpu = cpu_seconds(), began = wall_seconds(), before = began;
        for (size_t q = 0; q < queries.rows; q += batch) {
            size_t n = std::min(batch, queries.rows - q);
            if (n == 1)
                find(queries.row(q), k, &ids[q * k]);
            else
                parallel(n, threads,
                         [&](size_t i) { find(queries.row(q + i), k, &ids[(q + i) * k]); });
            double now = wall_seconds();
            latencies.push_back(static_cast<float>(now - before));
            before = now;
        }
        cpu = cpu_seconds() - cpu;
        write_table(text(fields, "out") + ".ibin", ids.data(), queries.rows, k);
        write_table(text(fields, "out") + ".fbin", latencies.data(), latencies.size(), 1);
        std::printf("searched\tseconds=%.9f\tcpu=%.9f\n", before - began, cpu);
    }

    std::unique_ptr<hnswlib::L2Space> space_;
    std::unique_ptr<Index> index_;
    size_t dim_ = 0;
};

Fields split(const std::string &line, std::string &word)
{
    Fields fields;
    std::istringstream in(line);
    std::string field;
    std::getline(in, word, '\t');
    while (std::getline(in, field, '\t')) {
        size_t equals = field.find('=');
        if (equals == std::string::npos)
            throw std::runtime_error("'" + field + "' is no name=value");
        fields[field.substr(0, equals)] = field.substr(equals + 1);
    }
    return fields;
}

} // namespace

int main()
{
    Peer peer;
    std::string line, word;
    std::puts("ready\tprotocol=1\tengine=hnswlib\tversion=0.6\tbuild=M=16 ef_construction=200"
              "\tsearch=ef=10,20,40,80,160,320");
    std::fflush(stdout);
    while (std::getline(std::cin, line) && line != "quit") {
        try {
            const Fields fields = split(line, word);
            peer.answer(word, fields);
        } catch (const std::exception &e) {
            std::printf("error\ttext=%s\n", e.what());
        }
        std::fflush(stdout);
    }
    return 0;
}
