/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Vectors of the ISA level's own width: every ISA #ifdef of the project stands here. Only kernels.c includes this
 * file, and everything in it is static: a shared inline compiled with AVX could be the copy that the linker keeps.
 *
 * For T = f32, f64:
 *   vec_T, LANES_T               the vector and its number of elements
 *   vec_load_T, vec_store_T      all lanes, any alignment
 *   vec_load_part_T, vec_store_part_T   the first count lanes (0 <= count <= LANES_T); the others read as 0
 *   vec_set_T                    one number in all lanes
 *   vec_fma_T(a, b, c)           a b + c, fused where the level has it
 *   vec_positive_T, vec_negative_T   max(0, v), min(0, v)
 *   vec_least_T(v, w)            min(v, w)
 *   vec_sqrt_T(v)                the square root of each
 *   vec_choose_T(v, a, b)        a where v >= 0, b where v < 0; either where v is 0 of any sign
 *   vec_where_T(condition, v)    v where condition is not 0, else 0
 *   vec_sums_T(v, sums)          the sums of four vectors; every vector is summed in the same order
 * and the tiles of the level, in vectors and rows, such that accumulators and operands fit its registers.
 */
#ifndef DTD_VEC_H
#define DTD_VEC_H

#include <stddef.h>
#include <stdint.h>

#if defined(__AVX512F__) || defined(__AVX2__) || defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define DTD_INLINE static inline __attribute__((always_inline))

#if defined(__clang__)
#define DTD_UNROLL _Pragma("clang loop unroll(full)")
#define DTD_UNROLL_ALL DTD_UNROLL
#else
#define DTD_UNROLL _Pragma("GCC unroll 16")
#define DTD_UNROLL_ALL _Pragma("GCC unroll 32")
#endif

#if defined(__AVX512F__)
enum { VEC_BYTES = 64 };
#elif defined(__AVX2__)
enum { VEC_BYTES = 32 };
#else
enum { VEC_BYTES = 16 };
#endif

typedef float vec_f32 __attribute__((vector_size(VEC_BYTES)));
typedef double vec_f64 __attribute__((vector_size(VEC_BYTES)));
typedef int32_t ivec_f32 __attribute__((vector_size(VEC_BYTES)));
typedef int64_t ivec_f64 __attribute__((vector_size(VEC_BYTES)));
enum { LANES_f32 = VEC_BYTES / 4, LANES_f64 = VEC_BYTES / 8 };

/* Tiles. Forward: rows x samples, by the number of outputs and of vectors per sample; one sample: FORWARD_MANY_ROWS
 * rows. Spread: samples x vectors of columns. */
#if defined(__AVX512F__)
#define FORWARD_MANY_ROWS 8
#define FORWARD_ROWS_PLAIN 4
#define FORWARD_ROWS_POSITIVE 4
#define FORWARD_ROWS_SIGNED 4
#define FORWARD_ROWS_PLAIN_SHARED 4
#define FORWARD_ROWS_PLAIN_POSITIVE 4
#define FORWARD_ROWS_PLAIN_SIGNED 6
#define FORWARD_SAMPLES_PLAIN 6
#define FORWARD_SAMPLES_POSITIVE 6
#define FORWARD_SAMPLES_SIGNED 4
#define FORWARD_SAMPLES_PLAIN_SHARED 3
#define FORWARD_SAMPLES_PLAIN_POSITIVE 3
#define FORWARD_SAMPLES_PLAIN_SIGNED 2
#define SPREAD_SAMPLES_PLAIN 13
#define SPREAD_SAMPLES_SIGNED 6
#define SPREAD_VECTORS_PLAIN(samples)                                                              \
    ((samples) > 8 ? 2 : (samples) > 6 ? 3 : (samples) > 4 ? 4 : (samples) > 3 ? 6 : 8)
#define SPREAD_VECTORS_SIGNED(samples) ((samples) > 4 ? 2 : (samples) > 3 ? 3 : 4)
#else
#define FORWARD_MANY_ROWS 4
#define FORWARD_ROWS_PLAIN 3
#define FORWARD_ROWS_POSITIVE 3
#define FORWARD_ROWS_SIGNED 3
#define FORWARD_ROWS_PLAIN_SHARED 3
#define FORWARD_ROWS_PLAIN_POSITIVE 3
#define FORWARD_ROWS_PLAIN_SIGNED 3
#define FORWARD_SAMPLES_PLAIN 4
#define FORWARD_SAMPLES_POSITIVE 4
#define FORWARD_SAMPLES_SIGNED 2
#define FORWARD_SAMPLES_PLAIN_SHARED 2
#define FORWARD_SAMPLES_PLAIN_POSITIVE 2
#define FORWARD_SAMPLES_PLAIN_SIGNED 2
#define SPREAD_SAMPLES_PLAIN 6
#define SPREAD_SAMPLES_SIGNED 5
#define SPREAD_VECTORS_PLAIN(samples) ((samples) > 3 ? 2 : (samples) > 2 ? 3 : 4)
#define SPREAD_VECTORS_SIGNED(samples) ((samples) > 2 ? 1 : 2)
#endif
/* Convolution: pixels of a tile; TILE(pixels) for each, and the same numbers as a list. */
#if defined(__AVX512F__) || defined(__aarch64__)
enum { CONV_MOST = 28 };
#define CONV_TILES                                                                                 \
    TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(10) TILE(12) TILE(14)
#define CONV_TILE_SIZES 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14
#else
enum { CONV_MOST = 12 };
#define CONV_TILES TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#define CONV_TILE_SIZES 1, 2, 3, 4, 5, 6
#endif
#define FORWARD_ROWS_ONE(mode) FORWARD_MANY_ROWS
#define FORWARD_ROWS_GROUP(mode) FORWARD_ROWS_##mode
#define FORWARD_ROWS_SINGLE(mode) 1
#define SPREAD_SAMPLES_POSITIVE SPREAD_SAMPLES_PLAIN
#define SPREAD_SAMPLES_SQUARE SPREAD_SAMPLES_PLAIN
#define SPREAD_VECTORS_POSITIVE SPREAD_VECTORS_PLAIN
#define SPREAD_VECTORS_SQUARE SPREAD_VECTORS_PLAIN
#define SPREAD_PANEL ((size_t)96 * VEC_BYTES / sizeof(REAL))

/* Bytes of a cache line. */
enum { DTD_LINE = 64 };
#define DTD_PREFETCH_FIRST(address) __builtin_prefetch((address), 0, 3)  /* into the first cache */
#define DTD_PREFETCH_SECOND(address) __builtin_prefetch((address), 0, 2) /* into the second */

DTD_INLINE vec_f32 vec_load_f32(const float *p) {
    vec_f32 v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

DTD_INLINE vec_f64 vec_load_f64(const double *p) {
    vec_f64 v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

DTD_INLINE void vec_store_f32(float *p, vec_f32 v) { __builtin_memcpy(p, &v, sizeof v); }
DTD_INLINE void vec_store_f64(double *p, vec_f64 v) { __builtin_memcpy(p, &v, sizeof v); }

DTD_INLINE vec_f32 vec_where_f32(vec_f32 condition, vec_f32 v) {
    return (vec_f32)((ivec_f32)v & (condition != (vec_f32){0}));
}

DTD_INLINE vec_f64 vec_where_f64(vec_f64 condition, vec_f64 v) {
    return (vec_f64)((ivec_f64)v & (condition != (vec_f64){0}));
}

#if defined(                                                                                       \
    __AVX512F__) /* ---- x86-64-v4 ----------------------------------------------------------------------- */

DTD_INLINE vec_f32 vec_set_f32(float s) { return _mm512_set1_ps(s); }
DTD_INLINE vec_f64 vec_set_f64(double s) { return _mm512_set1_pd(s); }
DTD_INLINE vec_f32 vec_fma_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return _mm512_fmadd_ps(a, b, c); }
DTD_INLINE vec_f64 vec_fma_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return _mm512_fmadd_pd(a, b, c); }

/* The bits of a float, read as an integer, have its sign: an integer maximum clamps, beside the FMA units. */
DTD_INLINE vec_f32 vec_positive_f32(vec_f32 v) {
    return (vec_f32)_mm512_max_epi32((__m512i)v, _mm512_setzero_si512());
}
DTD_INLINE vec_f64 vec_positive_f64(vec_f64 v) {
    return (vec_f64)_mm512_max_epi64((__m512i)v, _mm512_setzero_si512());
}
DTD_INLINE vec_f32 vec_negative_f32(vec_f32 v) {
    return (vec_f32)_mm512_min_epi32((__m512i)v, _mm512_setzero_si512());
}
DTD_INLINE vec_f64 vec_negative_f64(vec_f64 v) {
    return (vec_f64)_mm512_min_epi64((__m512i)v, _mm512_setzero_si512());
}
DTD_INLINE vec_f32 vec_least_f32(vec_f32 v, vec_f32 w) { return _mm512_min_ps(v, w); }
DTD_INLINE vec_f64 vec_least_f64(vec_f64 v, vec_f64 w) { return _mm512_min_pd(v, w); }

DTD_INLINE vec_f32 vec_sqrt_f32(vec_f32 v) { return _mm512_sqrt_ps(v); }
DTD_INLINE vec_f64 vec_sqrt_f64(vec_f64 v) { return _mm512_sqrt_pd(v); }

DTD_INLINE vec_f32 vec_choose_f32(vec_f32 v, vec_f32 a, vec_f32 b) {
    return _mm512_mask_blend_ps(_mm512_movepi32_mask((__m512i)v), a, b);
}
DTD_INLINE vec_f64 vec_choose_f64(vec_f64 v, vec_f64 a, vec_f64 b) {
    return _mm512_mask_blend_pd(_mm512_movepi64_mask((__m512i)v), a, b);
}

DTD_INLINE __mmask16 vec_mask_f32(size_t count) { return (__mmask16)((1u << count) - 1u); }
DTD_INLINE __mmask8 vec_mask_f64(size_t count) { return (__mmask8)((1u << count) - 1u); }

DTD_INLINE vec_f32 vec_load_part_f32(const float *p, size_t count) {
    return _mm512_maskz_loadu_ps(vec_mask_f32(count), p);
}
DTD_INLINE vec_f64 vec_load_part_f64(const double *p, size_t count) {
    return _mm512_maskz_loadu_pd(vec_mask_f64(count), p);
}
DTD_INLINE void vec_store_part_f32(float *p, vec_f32 v, size_t count) {
    _mm512_mask_storeu_ps(p, vec_mask_f32(count), v);
}
DTD_INLINE void vec_store_part_f64(double *p, vec_f64 v, size_t count) {
    _mm512_mask_storeu_pd(p, vec_mask_f64(count), v);
}

DTD_INLINE void vec_sums_f32(const vec_f32 v[4], float sums[4]) {
    const __m512 a = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    const __m512 b = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    const __m512d low = _mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b));
    const __m512d high = _mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b));
    const __m512 c = _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
    const __m256 d = _mm256_add_ps(_mm512_castps512_ps256(c), _mm512_extractf32x8_ps(c, 1));
    _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(d), _mm256_extractf128_ps(d, 1)));
}

DTD_INLINE void vec_sums_f64(const vec_f64 v[4], double sums[4]) {
    const __m512d a = _mm512_add_pd(_mm512_unpacklo_pd(v[0], v[1]), _mm512_unpackhi_pd(v[0], v[1]));
    const __m512d b = _mm512_add_pd(_mm512_unpacklo_pd(v[2], v[3]), _mm512_unpackhi_pd(v[2], v[3]));
    const __m256d c = _mm256_add_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
    const __m256d d = _mm256_add_pd(_mm512_castpd512_pd256(b), _mm512_extractf64x4_pd(b, 1));
    _mm_storeu_pd(sums, _mm_add_pd(_mm256_castpd256_pd128(c), _mm256_extractf128_pd(c, 1)));
    _mm_storeu_pd(sums + 2, _mm_add_pd(_mm256_castpd256_pd128(d), _mm256_extractf128_pd(d, 1)));
}

#elif defined(                                                                                     \
    __AVX2__) /* ---- x86-64-v3 ------------------------------------------------------------------------ */

DTD_INLINE vec_f32 vec_set_f32(float s) { return _mm256_set1_ps(s); }
DTD_INLINE vec_f64 vec_set_f64(double s) { return _mm256_set1_pd(s); }
DTD_INLINE vec_f32 vec_fma_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return _mm256_fmadd_ps(a, b, c); }
DTD_INLINE vec_f64 vec_fma_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return _mm256_fmadd_pd(a, b, c); }

/* As above; AVX2 has no integer maximum of 64 bits. */
DTD_INLINE vec_f32 vec_positive_f32(vec_f32 v) {
    return (vec_f32)_mm256_max_epi32((__m256i)v, _mm256_setzero_si256());
}
DTD_INLINE vec_f64 vec_positive_f64(vec_f64 v) { return _mm256_max_pd(v, _mm256_setzero_pd()); }
DTD_INLINE vec_f32 vec_negative_f32(vec_f32 v) {
    return (vec_f32)_mm256_min_epi32((__m256i)v, _mm256_setzero_si256());
}
DTD_INLINE vec_f64 vec_negative_f64(vec_f64 v) { return _mm256_min_pd(v, _mm256_setzero_pd()); }
DTD_INLINE vec_f32 vec_least_f32(vec_f32 v, vec_f32 w) { return _mm256_min_ps(v, w); }
DTD_INLINE vec_f64 vec_least_f64(vec_f64 v, vec_f64 w) { return _mm256_min_pd(v, w); }

DTD_INLINE vec_f32 vec_sqrt_f32(vec_f32 v) { return _mm256_sqrt_ps(v); }
DTD_INLINE vec_f64 vec_sqrt_f64(vec_f64 v) { return _mm256_sqrt_pd(v); }

DTD_INLINE vec_f32 vec_choose_f32(vec_f32 v, vec_f32 a, vec_f32 b) {
    return _mm256_blendv_ps(a, b, v);
}
DTD_INLINE vec_f64 vec_choose_f64(vec_f64 v, vec_f64 a, vec_f64 b) {
    return _mm256_blendv_pd(a, b, v);
}

DTD_INLINE __m256i vec_mask_f32(size_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
DTD_INLINE __m256i vec_mask_f64(size_t count) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)count), _mm256_setr_epi64x(0, 1, 2, 3));
}

DTD_INLINE vec_f32 vec_load_part_f32(const float *p, size_t count) {
    return _mm256_maskload_ps(p, vec_mask_f32(count));
}
DTD_INLINE vec_f64 vec_load_part_f64(const double *p, size_t count) {
    return _mm256_maskload_pd(p, vec_mask_f64(count));
}
DTD_INLINE void vec_store_part_f32(float *p, vec_f32 v, size_t count) {
    _mm256_maskstore_ps(p, vec_mask_f32(count), v);
}
DTD_INLINE void vec_store_part_f64(double *p, vec_f64 v, size_t count) {
    _mm256_maskstore_pd(p, vec_mask_f64(count), v);
}

DTD_INLINE void vec_sums_f32(const vec_f32 v[4], float sums[4]) {
    const __m256 a = _mm256_add_ps(_mm256_unpacklo_ps(v[0], v[1]), _mm256_unpackhi_ps(v[0], v[1]));
    const __m256 b = _mm256_add_ps(_mm256_unpacklo_ps(v[2], v[3]), _mm256_unpackhi_ps(v[2], v[3]));
    const __m256d low = _mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b));
    const __m256d high = _mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b));
    const __m256 c = _mm256_add_ps(_mm256_castpd_ps(low), _mm256_castpd_ps(high));
    _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(c), _mm256_extractf128_ps(c, 1)));
}

DTD_INLINE void vec_sums_f64(const vec_f64 v[4], double sums[4]) {
    const __m256d a = _mm256_add_pd(_mm256_unpacklo_pd(v[0], v[1]), _mm256_unpackhi_pd(v[0], v[1]));
    const __m256d b = _mm256_add_pd(_mm256_unpacklo_pd(v[2], v[3]), _mm256_unpackhi_pd(v[2], v[3]));
    _mm_storeu_pd(sums, _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1)));
    _mm_storeu_pd(sums + 2, _mm_add_pd(_mm256_castpd256_pd128(b), _mm256_extractf128_pd(b, 1)));
}

#else /* ---- base: 16 bytes, SSE2, NEON or whatever the compiler makes of it ------------------------------------ */

DTD_INLINE vec_f32 vec_choose_f32(vec_f32 v, vec_f32 a, vec_f32 b) {
    const ivec_f32 below = v < (vec_f32){0};
    return (vec_f32)(((ivec_f32)a & ~below) | ((ivec_f32)b & below));
}
DTD_INLINE vec_f64 vec_choose_f64(vec_f64 v, vec_f64 a, vec_f64 b) {
    const ivec_f64 below = v < (vec_f64){0};
    return (vec_f64)(((ivec_f64)a & ~below) | ((ivec_f64)b & below));
}
DTD_INLINE vec_f32 vec_set_f32(float s) { return (vec_f32){s, s, s, s}; }
DTD_INLINE vec_f64 vec_set_f64(double s) { return (vec_f64){s, s}; }

#if defined(__SSE2__)
DTD_INLINE vec_f32 vec_sqrt_f32(vec_f32 v) { return _mm_sqrt_ps(v); }
DTD_INLINE vec_f64 vec_sqrt_f64(vec_f64 v) { return _mm_sqrt_pd(v); }
DTD_INLINE vec_f32 vec_fma_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return a * b + c; }
DTD_INLINE vec_f64 vec_fma_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return a * b + c; }
DTD_INLINE vec_f32 vec_positive_f32(vec_f32 v) { return _mm_max_ps(v, _mm_setzero_ps()); }
DTD_INLINE vec_f64 vec_positive_f64(vec_f64 v) { return _mm_max_pd(v, _mm_setzero_pd()); }
DTD_INLINE vec_f32 vec_negative_f32(vec_f32 v) { return _mm_min_ps(v, _mm_setzero_ps()); }
DTD_INLINE vec_f64 vec_negative_f64(vec_f64 v) { return _mm_min_pd(v, _mm_setzero_pd()); }
DTD_INLINE vec_f32 vec_least_f32(vec_f32 v, vec_f32 w) { return _mm_min_ps(v, w); }
DTD_INLINE vec_f64 vec_least_f64(vec_f64 v, vec_f64 w) { return _mm_min_pd(v, w); }
#elif defined(__ARM_NEON) && defined(__aarch64__)
DTD_INLINE vec_f32 vec_sqrt_f32(vec_f32 v) { return (vec_f32)vsqrtq_f32((float32x4_t)v); }
DTD_INLINE vec_f64 vec_sqrt_f64(vec_f64 v) { return (vec_f64)vsqrtq_f64((float64x2_t)v); }
DTD_INLINE vec_f32 vec_fma_f32(vec_f32 a, vec_f32 b, vec_f32 c) {
    return (vec_f32)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
DTD_INLINE vec_f64 vec_fma_f64(vec_f64 a, vec_f64 b, vec_f64 c) {
    return (vec_f64)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
DTD_INLINE vec_f32 vec_positive_f32(vec_f32 v) {
    return (vec_f32)vmaxq_f32((float32x4_t)v, vdupq_n_f32(0));
}
DTD_INLINE vec_f64 vec_positive_f64(vec_f64 v) {
    return (vec_f64)vmaxq_f64((float64x2_t)v, vdupq_n_f64(0));
}
DTD_INLINE vec_f32 vec_negative_f32(vec_f32 v) {
    return (vec_f32)vminq_f32((float32x4_t)v, vdupq_n_f32(0));
}
DTD_INLINE vec_f64 vec_negative_f64(vec_f64 v) {
    return (vec_f64)vminq_f64((float64x2_t)v, vdupq_n_f64(0));
}
DTD_INLINE vec_f32 vec_least_f32(vec_f32 v, vec_f32 w) {
    return (vec_f32)vminq_f32((float32x4_t)v, (float32x4_t)w);
}
DTD_INLINE vec_f64 vec_least_f64(vec_f64 v, vec_f64 w) {
    return (vec_f64)vminq_f64((float64x2_t)v, (float64x2_t)w);
}
#else
DTD_INLINE vec_f32 vec_sqrt_f32(vec_f32 v) {
    return (vec_f32){__builtin_sqrtf(v[0]), __builtin_sqrtf(v[1]), __builtin_sqrtf(v[2]),
                     __builtin_sqrtf(v[3])};
}
DTD_INLINE vec_f64 vec_sqrt_f64(vec_f64 v) {
    return (vec_f64){__builtin_sqrt(v[0]), __builtin_sqrt(v[1])};
}
DTD_INLINE vec_f32 vec_fma_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return a * b + c; }
DTD_INLINE vec_f64 vec_fma_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return a * b + c; }
DTD_INLINE vec_f32 vec_positive_f32(vec_f32 v) {
    return (vec_f32)((ivec_f32)v & (v > (vec_f32){0}));
}
DTD_INLINE vec_f64 vec_positive_f64(vec_f64 v) {
    return (vec_f64)((ivec_f64)v & (v > (vec_f64){0}));
}
DTD_INLINE vec_f32 vec_negative_f32(vec_f32 v) {
    return (vec_f32)((ivec_f32)v & (v < (vec_f32){0}));
}
DTD_INLINE vec_f64 vec_negative_f64(vec_f64 v) {
    return (vec_f64)((ivec_f64)v & (v < (vec_f64){0}));
}
DTD_INLINE vec_f32 vec_least_f32(vec_f32 v, vec_f32 w) {
    const ivec_f32 less = v < w;
    return (vec_f32)(((ivec_f32)v & less) | ((ivec_f32)w & ~less));
}
DTD_INLINE vec_f64 vec_least_f64(vec_f64 v, vec_f64 w) {
    const ivec_f64 less = v < w;
    return (vec_f64)(((ivec_f64)v & less) | ((ivec_f64)w & ~less));
}
#endif

DTD_INLINE vec_f32 vec_load_part_f32(const float *p, size_t count) {
    if (count >= 4) {
        return vec_load_f32(p);
    }
    return (vec_f32){count > 0 ? p[0] : 0, count > 1 ? p[1] : 0, count > 2 ? p[2] : 0, 0};
}
DTD_INLINE vec_f64 vec_load_part_f64(const double *p, size_t count) {
    return count >= 2 ? vec_load_f64(p) : (vec_f64){count > 0 ? p[0] : 0, 0};
}
DTD_INLINE void vec_store_part_f32(float *p, vec_f32 v, size_t count) {
    for (size_t i = 0; i < count && i < 4; i++) {
        p[i] = v[i];
    }
}
DTD_INLINE void vec_store_part_f64(double *p, vec_f64 v, size_t count) {
    for (size_t i = 0; i < count && i < 2; i++) {
        p[i] = v[i];
    }
}
DTD_INLINE void vec_sums_f32(const vec_f32 v[4], float sums[4]) {
    DTD_UNROLL
    for (int k = 0; k < 4; k++) {
        sums[k] = (v[k][0] + v[k][2]) + (v[k][1] + v[k][3]);
    }
}
DTD_INLINE void vec_sums_f64(const vec_f64 v[4], double sums[4]) {
    DTD_UNROLL
    for (int k = 0; k < 4; k++) {
        sums[k] = v[k][0] + v[k][1];
    }
}
#endif

#endif
