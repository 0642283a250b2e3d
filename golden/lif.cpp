// Leaky integrate-and-fire scan over time and its hand-written backward, on bfloat16 tensors of shape
// (n_timesteps, n_columns), row-major. Only the reset makes the scan sequential, so columns are vectorised and blocks
// of columns go to threads. State is float32 in L1; bfloat16 is only how tensors travel.
#include <cstdint>
#include <cstring>

namespace {
constexpr int64_t block = 512;  // columns a thread scans at once: 2 KiB of float32 state

inline float to_float(uint16_t b) {
    uint32_t bits = uint32_t(b) << 16;
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
}

inline uint16_t to_bfloat16(float f) {  // round to nearest, ties to even; no NaN is ever produced here
    uint32_t bits;
    std::memcpy(&bits, &f, 4);
    return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

template <bool subtract>
void forward(const uint16_t* current, uint16_t* spikes, uint16_t* slope, float* counts, int64_t n_timesteps,
             int64_t n_columns, float leak, float threshold) {
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < n_columns; first += block) {
        const int64_t width = n_columns - first < block ? n_columns - first : block;
        float membrane[block] = {}, count[block] = {};
        for (int64_t k = 0; k < n_timesteps; ++k) {
            const uint16_t* in = current + k * n_columns + first;
            uint16_t* out = spikes + k * n_columns + first;
            uint16_t* grad = slope + k * n_columns + first;
#pragma omp simd
            for (int64_t i = 0; i < width; ++i) {
                const float u = leak * membrane[i] + to_float(in[i]);
                const bool fired = u >= threshold;
                const float distance = u > threshold ? u - threshold : threshold - u;
                out[i] = fired ? 0x3f80 : 0;  // 1.0 in bfloat16
                count[i] += fired ? 1.0f : 0.0f;
                grad[i] = to_bfloat16(distance < 1.0f ? 1.0f - distance : 0.0f);
                membrane[i] = subtract ? (fired ? u - threshold : u) : (fired ? 0.0f : u);
            }
        }
        std::memcpy(counts + first, count, width * sizeof(float));
    }
}

template <bool subtract>
void backward(const uint16_t* grad_spikes, const float* grad_counts, const uint16_t* spikes, const uint16_t* slope,
              uint16_t* grad_current, int64_t n_timesteps, int64_t n_columns, float leak) {
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < n_columns; first += block) {
        const int64_t width = n_columns - first < block ? n_columns - first : block;
        float carried[block] = {}, constant[block] = {};  // `constant`: the gradient every timestep's spike shares
        if (grad_counts) std::memcpy(constant, grad_counts + first, width * sizeof(float));
        for (int64_t k = n_timesteps - 1; k >= 0; --k) {
            const int64_t row = k * n_columns + first;
            float total[block];
            for (int64_t i = 0; i < width; ++i) total[i] = constant[i];
            if (grad_spikes)
                for (int64_t i = 0; i < width; ++i) total[i] += to_float(grad_spikes[row + i]);
#pragma omp simd
            for (int64_t i = 0; i < width; ++i) {
                const float kept = subtract ? carried[i] : (spikes[row + i] ? 0.0f : carried[i]);
                const float delta = total[i] * to_float(slope[row + i]) + kept;
                grad_current[row + i] = to_bfloat16(delta);
                carried[i] = leak * delta;
            }
        }
    }
}
}  // namespace

extern "C" void lif_forward(const uint16_t* current, uint16_t* spikes, uint16_t* slope, float* counts,
                            int64_t n_timesteps, int64_t n_columns, float leak, float threshold, int subtract) {
    (subtract ? forward<true> : forward<false>)(current, spikes, slope, counts, n_timesteps, n_columns, leak, threshold);
}

extern "C" void lif_backward(const uint16_t* grad_spikes, const float* grad_counts, const uint16_t* spikes,
                             const uint16_t* slope, uint16_t* grad_current, int64_t n_timesteps, int64_t n_columns,
                             float leak, int subtract) {
    (subtract ? backward<true> : backward<false>)(grad_spikes, grad_counts, spikes, slope, grad_current, n_timesteps,
                                                  n_columns, leak);
}
