/* The body of dip_dot_*(), compiled once an instruction set; see dot.h. */
static inline float dot_body(const float *a, const float *b, size_t n)
{
    float sum[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++) sum[j] += a[i + j] * b[i + j];
    for (size_t j = 0; i + j < n; j++) sum[j] += a[i + j] * b[i + j];
    for (size_t width = 8; width; width /= 2)
        for (size_t j = 0; j < width; j++) sum[j] += sum[j + width];
    return sum[0];
}
