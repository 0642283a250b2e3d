// Leaky integrate-and-fire scan over time and axonal delays, with their hand-written backward, on bfloat16 tensors of shape
// (n_timesteps, n_columns), row-major. Only the reset makes the scan sequential, so columns are vectorised and blocks
// of columns go to threads. State is float32 in L1; bfloat16 is only how tensors travel.
#include <cstdint>
#include <cstring>
#include <type_traits>

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

// A leak or a threshold that all columns share; a pointer is one of every column.
struct Shared {
    float value;
    float operator[](int64_t) const { return value; }
};

// Where the leaks are of every column, what is left of the membranes goes into `kept`, for their gradients.
template <bool subtract, typename Value>
void forward(const uint16_t* current, uint16_t* spikes, uint16_t* slope, float* counts, uint16_t* kept,
             int64_t n_timesteps, int64_t n_columns, Value leaks, Value thresholds) {
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
                const float leak = leaks[first + i], threshold = thresholds[first + i];
                const float u = leak * membrane[i] + to_float(in[i]);
                const bool fired = u >= threshold;
                const float distance = u > threshold ? u - threshold : threshold - u;
                out[i] = fired ? 0x3f80 : 0;  // 1.0 in bfloat16
                count[i] += fired ? 1.0f : 0.0f;
                grad[i] = to_bfloat16(distance < 1.0f ? 1.0f - distance : 0.0f);
                membrane[i] = subtract ? (fired ? u - threshold : u) : (fired ? 0.0f : u);
                if constexpr (std::is_pointer_v<Value>) kept[k * n_columns + first + i] = to_bfloat16(membrane[i]);
            }
        }
        std::memcpy(counts + first, count, width * sizeof(float));
    }
}

template <bool subtract, typename Value>
void backward(const uint16_t* grad_spikes, const float* grad_counts, const uint16_t* spikes, const uint16_t* slope,
              const uint16_t* kept, uint16_t* grad_current, float* grad_leaks, float* grad_thresholds,
              int64_t n_timesteps, int64_t n_columns, Value leaks) {
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
                const float passed = subtract ? carried[i] : (spikes[row + i] ? 0.0f : carried[i]);
                const float delta = total[i] * to_float(slope[row + i]) + passed;
                grad_current[row + i] = to_bfloat16(delta);
                if constexpr (std::is_pointer_v<Value>) {
                    // The threshold acts through the spike, and through what the reset takes.
                    const float taken = subtract && spikes[row + i] ? carried[i] : 0.0f;
                    grad_thresholds[first + i] -= total[i] * to_float(slope[row + i]) + taken;
                    if (k) grad_leaks[first + i] += delta * to_float(kept[row - n_columns + i]);
                }
                carried[i] = leaks[first + i] * delta;
            }
        }
    }
}
}  // namespace

// Input column j of spikes (n_timesteps, n_rows, n_columns) held back by steps[j] timesteps (or moved ahead by -steps[j]);
// zeros move in.
extern "C" void delay_shift(const uint16_t* in, uint16_t* out, const int64_t* steps, int64_t n_timesteps, int64_t n_rows,
                            int64_t n_columns) {
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < n_timesteps; ++k)
        for (int64_t row = 0; row < n_rows; ++row) {
            uint16_t* to = out + (k * n_rows + row) * n_columns;
            for (int64_t j = 0; j < n_columns; ++j) {
                const int64_t from = k - steps[j];
                const bool inside = from >= 0 && from < n_timesteps;
                to[j] = inside ? in[(from * n_rows + row) * n_columns + j] : 0;
            }
        }
}

// The gradient of each delay, for `grad` of what was held back: each spike adds the slope of the gradient around the
// timestep that it was moved to, over `reach` timesteps on both sides.
extern "C" void delay_slope(const uint16_t* spikes, const uint16_t* grad, const int64_t* steps, float* grad_delays,
                            int64_t n_timesteps, int64_t n_rows, int64_t n_columns, int64_t reach) {
    for (int64_t j = 0; j < n_columns; ++j) grad_delays[j] = 0;
    for (int64_t row = 0; row < n_rows; ++row)
        for (int64_t k = 0; k < n_timesteps; ++k) {
            const uint16_t* fired = spikes + (k * n_rows + row) * n_columns;
            for (int64_t j = 0; j < n_columns; ++j) {
                if (!fired[j]) continue;
                float slope = 0;
                for (int64_t r = -reach; r <= reach; ++r) {
                    const int64_t near = k + r, moved = near + steps[j];
                    if (r == 0 || near < 0 || near >= n_timesteps || moved < 0 || moved >= n_timesteps) continue;
                    const float g = to_float(grad[(moved * n_rows + row) * n_columns + j]);
                    slope += r > 0 ? g : -g;
                }
                grad_delays[j] += to_float(fired[j]) * slope;
            }
        }
    for (int64_t j = 0; j < n_columns; ++j) grad_delays[j] /= float(reach * (reach + 1));
}

extern "C" void lif_forward(const uint16_t* current, uint16_t* spikes, uint16_t* slope, float* counts,
                            int64_t n_timesteps, int64_t n_columns, float leak, float threshold, int subtract) {
    (subtract ? forward<true, Shared> : forward<false, Shared>)(current, spikes, slope, counts, nullptr, n_timesteps,
                                                                n_columns, Shared{leak}, Shared{threshold});
}

extern "C" void lif_backward(const uint16_t* grad_spikes, const float* grad_counts, const uint16_t* spikes,
                             const uint16_t* slope, uint16_t* grad_current, int64_t n_timesteps, int64_t n_columns,
                             float leak, int subtract) {
    (subtract ? backward<true, Shared> : backward<false, Shared>)(grad_spikes, grad_counts, spikes, slope, nullptr,
                                                                  grad_current, nullptr, nullptr, n_timesteps,
                                                                  n_columns, Shared{leak});
}

// The same with a leak and a threshold of every column, and with their gradients, which start at 0.
extern "C" void lif_forward_each(const uint16_t* current, uint16_t* spikes, uint16_t* slope, float* counts,
                                 uint16_t* kept, int64_t n_timesteps, int64_t n_columns, const float* leaks,
                                 const float* thresholds, int subtract) {
    (subtract ? forward<true, const float*> : forward<false, const float*>)(
        current, spikes, slope, counts, kept, n_timesteps, n_columns, leaks, thresholds);
}

extern "C" void lif_backward_each(const uint16_t* grad_spikes, const float* grad_counts, const uint16_t* spikes,
                                  const uint16_t* slope, const uint16_t* kept, uint16_t* grad_current,
                                  float* grad_leaks, float* grad_thresholds, int64_t n_timesteps, int64_t n_columns,
                                  const float* leaks, int subtract) {
    (subtract ? backward<true, const float*> : backward<false, const float*>)(
        grad_spikes, grad_counts, spikes, slope, kept, grad_current, grad_leaks, grad_thresholds, n_timesteps,
        n_columns, leaks);
}
