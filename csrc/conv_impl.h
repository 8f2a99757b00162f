/* SPDX-FileCopyrightText: the dtdcore authors */
/* SPDX-License-Identifier: BSD-3-Clause */
/* Template (REAL, SUFFIX) of conv.c. */

int NAME(dtd_conv_pack)(const dtd_conv_shape *shape, int transposed, const REAL *w, REAL *packed) {
    int status = check_conv(shape, sizeof(REAL));
    if (status) {
        return status;
    }
    conv_layout layout;
    status = make_layout(shape, transposed, sizeof(REAL), &layout);
    if (status) {
        return status;
    }
    const size_t block = layout.block, taps = layout.kernel_size;
    const size_t all = layout.to_blocks * packed_block(&layout, taps);
    if (all > 0 && (w == NULL || packed == NULL)) {
        free_layout(&layout);
        return DTD_ERROR_ARGUMENT;
    }
    const size_t from = layout.from / layout.groups, to = layout.to / layout.groups;
    const size_t per_group = shape->inputs / shape->groups; /* the second size of w */
    for (size_t k = 0; k < all; k++) {
        packed[k] = 0;
    }
    for (size_t c = 0; c < layout.classes; c++) {
        const conv_class *const class = layout.class + c;
        for (size_t channel = 0; channel < layout.to; channel++) {
            const size_t m = channel / block, lane = channel % block;
            REAL *const rows = packed + m * packed_block(&layout, class->taps);
            size_t first, count;
            sees(&layout, m, &first, &count);
            for (size_t tap = 0; tap < class->taps; tap++) {
                const size_t t = layout.natural[class->first_tap + tap];
                if (layout.depthwise) {
                    rows[tap * block + lane] = w[channel * taps + t];
                    continue;
                }
                const size_t group = channel / to;
                for (size_t k = 0; k < from; k++) {
                    const size_t other = group * from + k, place = other - first * block;
                    const size_t natural =
                        transposed ? (other * per_group + channel % per_group) * taps + t
                                   : (channel * per_group + k) * taps + t;
                    const size_t input = place / block * class->taps + tap;
                    const size_t at = layout.narrow
                                          ? (input * layout.narrow + lane) * block + place % block
                                          : (input * block + place % block) * block + lane;
                    rows[at] = w[natural];
                }
            }
        }
        packed += layout.to_blocks * packed_block(&layout, class->taps);
    }
    free_layout(&layout);
    return DTD_OK;
}

/* One call: what is summed, over which images, and where it goes. */
typedef struct {
    const dtd_kernels *kernels;
    const conv_layout *layout; /* kept */
    conv_layout kept;
    char *memory;
    int threads;
    size_t targets;
    NAME(dtd_conv_job) job;       /* all but the place of a row */
    const NAME(dtd_term) *spread; /* makes p and n of x before they are summed; NULL: x itself is */
    int spread_n;
    size_t images;
    const REAL *x, *w;
    size_t x_size, x_block,
        result_size; /* numbers of an image of x, of a block of it, of an image of results */
    REAL *scratch, *scratch_n,
        *rows;           /* planes of p (or x) and n of a round, and rows of the workers */
    size_t scratch_size; /* numbers of one image in scratch */
    size_t begin, round; /* the images of this round */
    size_t outputs, rows_of_task, row_tasks; /* how a round is cut */
    int own; /* each task makes the planes of its rows, in memory of its worker */
    ptrdiff_t *offsets;
    double *totals; /* with job.next: what each row of each block of each image books */
} NAME(conv_call);

/* Copy one row of source pixels into the row of a plane: pixels phase, phase + stride, ... */
static void NAME(copy_row)(const conv_layout *layout, size_t phase, const REAL *from, REAL *to) {
    const size_t block = layout->block, stride = layout->phases[2], width = layout->source[2];
    const size_t low = layout->low[2], size = layout->size[2];
    const size_t have = width > phase ? dtd_ceil_div(width - phase, stride) : 0;
    const size_t some = dtd_min(have, size - low);
    memset(to, 0, low * DTD_BLOCK_BYTES);
    to += low * block;
    if (stride == 1) {
        memcpy(to, from, some * DTD_BLOCK_BYTES);
    } else {
        for (size_t k = 0; k < some; k++) {
            memcpy(to + k * block, from + (phase + k * stride) * block, DTD_BLOCK_BYTES);
        }
    }
    memset(to + some * block, 0, (size - low - some) * DTD_BLOCK_BYTES);
}

/*
 * Rows first .. first + layout->size[1] - 1 of the planes of one block of one image, with zeros around, into to (and
 * to_n, for n).
 */
static void NAME(fill_planes)(const NAME(conv_call) *call, size_t image, size_t b, size_t first,
                              int worker, REAL *to, REAL *to_n) {
    const conv_layout *const layout = call->layout;
    const size_t block = layout->block, width = layout->source[2], row = layout->size[2] * block;
    const size_t *const phases = layout->plane + layout->kernel_size;
    const REAL *const x = call->x + image * call->x_size + b * call->x_block;
    REAL *const p_row = call->rows ? call->rows + (size_t)worker * 2 * width * block : NULL;
    REAL *const n_row = to_n ? p_row + width * block : NULL;
    for (size_t k = 0; k < layout->planes; k++) {
        for (size_t d = 0; d < layout->size[0]; d++) {
            for (size_t h = first; h < first + layout->size[1]; h++, to += row) {
                const size_t z = (d - layout->low[0]) * layout->phases[0] + phases[3 * k],
                             y = (h - layout->low[1]) * layout->phases[1] + phases[3 * k + 1];
                if (d < layout->low[0] || h < layout->low[1] || z >= layout->source[0] ||
                    y >= layout->source[1]) {
                    memset(to, 0, row * sizeof(REAL));
                    if (to_n) {
                        memset(to_n, 0, row * sizeof(REAL));
                        to_n += row;
                    }
                    continue;
                }
                const size_t place = (z * layout->source[1] + y) * width * block;
                const REAL *from = x + place;
                if (call->spread) {
                    call->kernels->NAME(term)(width * block, call->spread, from,
                                              b * call->x_block + place, p_row, n_row);
                    from = p_row;
                }
                NAME(copy_row)(layout, phases[3 * k + 2], from, to);
                if (to_n) {
                    NAME(copy_row)(layout, phases[3 * k + 2], n_row, to_n);
                    to_n += row;
                }
            }
        }
    }
}

/* A round's planes of one block of one image. */
static void NAME(plane_task)(void *context, size_t task, int worker) {
    const NAME(conv_call) *const call = context;
    const size_t image = task / call->layout->from_blocks, b = task % call->layout->from_blocks;
    const size_t place = image * call->scratch_size + b * call->job.x_block;
    NAME(fill_planes)(call, call->begin + image, b, 0, worker, call->scratch + place,
                      call->scratch_n ? call->scratch_n + place : NULL);
}

/*
 * Rows (or pieces of rows) begin .. end - 1 of one class of one image, for outputs blocks of results from output on.
 * x and y: the planes, of which skipped rows are left out, and in_block is the first block.
 */
static void NAME(run_rows)(const NAME(conv_call) *call, const conv_class *class, size_t image,
                           size_t output, size_t outputs, size_t begin, size_t end, const REAL *x,
                           const REAL *y, size_t skipped, size_t in_block) {
    const conv_layout *const layout = call->layout;
    const size_t block = layout->block, weights = packed_block(layout, class->taps);
    const size_t pieces = dtd_ceil_div(class->count[2], CONV_PIECE);
    void (*const run)(const NAME(dtd_conv_job) *) =
        layout->narrow ? call->kernels->NAME(narrow_row) : call->kernels->NAME(conv_row);
    NAME(dtd_conv_job) job = call->job;
    job.narrow = layout->narrow;
    job.taps = class->taps;
    job.offsets = call->offsets + class->first_tap;
    job.w_output = weights;
    job.pixel = layout->step[2] * block;
    job.a = job.a ? job.a + image * call->result_size : NULL;
    job.z = job.z ? job.z + image * call->result_size : NULL;
    if (job.r) {
        job.r += image * call->result_size;
        job.owner += image / call->targets * call->result_size;
        job.next_z = job.next ? job.next->z + image / call->targets * call->result_size : NULL;
    }
    const REAL *const w = call->w + packed_block(layout, class->first_tap) * layout->to_blocks;
    end = dtd_min(end, class->count[0] * class->count[1] * pieces);
    for (size_t m = output; m < output + outputs; m += job.outputs) {
        size_t first, count;
        sees(layout, m, &first, &count);
        job.outputs = 1; /* and those that see the same channels */
        for (size_t other, size; m + job.outputs < output + outputs && !layout->depthwise;
             job.outputs++) {
            sees(layout, m + job.outputs, &other, &size);
            if (other != first || size != count) {
                break;
            }
        }
        job.blocks = class->taps ? count : 0;
        job.last = first + count == layout->from_blocks ? (layout->from - 1) % block + 1 : block;
        job.w = w + m * weights;
        job.b = call->job.b ? call->job.b + m * block : NULL;
        for (size_t row = begin; row < end; row++) {
            const size_t d = row / pieces / class->count[1], h = row / pieces % class->count[1],
                         v = row % pieces * CONV_PIECE;
            const size_t at =
                ((d + layout->low[0]) * layout->size[1] + h + layout->low[1] - skipped) *
                    layout->size[2] +
                layout->low[2] + v;
            const size_t place = ((class->origin[0] + d * layout->step[0]) * layout->result[1] +
                                  class->origin[1] + h * layout->step[1]) *
                                     layout->result[2] +
                                 class->origin[2] + v * layout->step[2];
            const size_t shift = (first - in_block) * job.x_block + at * block;
            job.x = x + shift;
            job.y = y ? y + shift : NULL;
            job.pixels = dtd_min(CONV_PIECE, class->count[2] - v);
            job.place = m * job.out_block + place * block;
            job.totals = call->totals
                             ? call->totals + ((image * layout->to_blocks + m) * layout->rows +
                                               class->first_row + row) *
                                                  DTD_ACCOUNT_ENTRIES
                             : NULL;
            run(&job);
        }
    }
}

/* Some rows of one class of one image, for some blocks of results, from planes that all tasks share, or from x. */
static void NAME(row_task)(void *context, size_t task, int worker) {
    const NAME(conv_call) *const call = context;
    const conv_layout *const layout = call->layout;
    (void)worker;
    const size_t begin = task % call->row_tasks * call->rows_of_task;
    task /= call->row_tasks;
    const size_t image = task % call->round;
    task /= call->round;
    const size_t output = task / layout->classes * call->outputs;
    const REAL *const x = call->scratch ? call->scratch + image * call->scratch_size
                                        : call->x + (call->begin + image) * call->x_size;
    NAME(run_rows)(call, layout->class + task % layout->classes, call->begin + image, output,
                   dtd_min(call->outputs, layout->to_blocks - output), begin,
                   begin + call->rows_of_task, x,
                   call->scratch_n ? call->scratch_n + image * call->scratch_size : NULL, 0, 0);
}

/* Some rows of all classes of one image, for all blocks of results (depthwise: for one), from planes of its own. */
static void NAME(own_task)(void *context, size_t task, int worker) {
    const NAME(conv_call) *const call = context;
    const conv_layout *const layout = call->layout;
    const size_t rows = call->rows_of_task, first = task % call->row_tasks * rows;
    task /= call->row_tasks;
    const size_t image = task / (layout->depthwise ? layout->from_blocks : 1);
    const size_t in_block = layout->depthwise ? task % layout->from_blocks : 0;
    REAL *const x = call->scratch + (size_t)worker * call->scratch_size;
    REAL *const y = call->scratch_n ? call->scratch_n + (size_t)worker * call->scratch_size : NULL;
    const size_t blocks = layout->depthwise ? 1 : layout->from_blocks;
    for (size_t b = 0; b < blocks; b++) {
        const size_t shift = b * call->job.x_block;
        NAME(fill_planes)(call, image, in_block + b, first, worker, x + shift,
                          y ? y + shift : NULL);
    }
    for (size_t c = 0; c < layout->classes; c++) {
        const conv_class *const class = layout->class + c;
        const size_t pieces = dtd_ceil_div(class->count[2], CONV_PIECE);
        NAME(run_rows)(call, class, image, layout->depthwise ? in_block : 0,
                       layout->depthwise ? 1 : layout->to_blocks, first * pieces,
                       (first + rows) * pieces, x, y, first, in_block);
    }
}

/* Cut a round into tasks: results in pairs of blocks with all their rows, or, where all weights stay in a second-level
 * cache, few rows with all their results. */
static size_t NAME(cut_round)(NAME(conv_call) *call, int threads) {
    const conv_layout *const layout = call->layout;
    size_t rows = 1;
    for (size_t c = 0; c < layout->classes; c++) {
        const conv_class *const class = layout->class + c;
        rows = dtd_max(rows, class->count[0] * class->count[1] *
                                 dtd_ceil_div(class->count[2], CONV_PIECE));
    }
    const int all = layout->weights <= CONV_WEIGHT_BYTES && !layout->depthwise;
    call->outputs = all ? layout->to_blocks : layout->depthwise ? 1 : 2;
    const size_t others =
        dtd_ceil_div(layout->to_blocks, call->outputs) * layout->classes * call->round;
    const size_t wanted = threads > 1 ? 6 * (size_t)threads : 1;
    const size_t parts = dtd_max(dtd_ceil_div(wanted, others), all ? dtd_ceil_div(rows, 8) : 1);
    call->rows_of_task = dtd_ceil_div(rows, dtd_min(parts, rows));
    call->row_tasks = dtd_ceil_div(rows, call->rows_of_task);
    return others * call->row_tasks;
}

/* Rows of a task that makes its own planes: as many as keep these in a second-level cache. */
static void NAME(cut_own)(NAME(conv_call) *call, conv_layout *layout, int threads) {
    size_t rows = 1;
    for (size_t c = 0; c < layout->classes; c++) {
        rows = dtd_max(rows, layout->class[c].count[1]);
    }
    const size_t around = layout->low[1] + layout->high[1];
    const size_t row_bytes = layout->size[2] * layout->planes * DTD_BLOCK_BYTES *
                             (call->spread_n ? 2 : 1) *
                             (layout->depthwise ? 1 : layout->from_blocks);
    const size_t fit = CONV_OWN_BYTES / dtd_max(row_bytes, 1);
    const size_t others = call->images * (layout->depthwise ? layout->from_blocks : 1);
    const size_t wanted = threads > 1 ? dtd_ceil_div(4 * (size_t)threads, others) : 1;
    size_t most = dtd_max(fit > around ? fit - around : 1, dtd_min(4, rows));
    most = dtd_min(most, dtd_max(dtd_ceil_div(rows, wanted), dtd_min(4, rows)));
    call->row_tasks = dtd_ceil_div(rows, most);
    call->rows_of_task = dtd_ceil_div(rows, call->row_tasks);
    layout->size[1] = call->rows_of_task + around;
}

/* Scratch memory: planes of a round (or of the workers), rows of the workers, the taps' offsets, the bias up to whole
 * blocks. */
static int NAME(conv_memory)(NAME(conv_call) *call, conv_layout *layout, int threads,
                             char **memory) {
    const size_t block = layout->block;
    const int copies = !layout->direct || call->spread;
    call->own = copies && layout->size[0] == 1 && layout->result[0] == 1 &&
                (layout->depthwise || layout->weights <= CONV_WEIGHT_BYTES);
    for (int axis = 0; axis < 3 && layout->direct; axis++) {
        layout->size[axis] = layout->source[axis];
    }
    if (call->own) {
        NAME(cut_own)(call, layout, threads);
    }
    const size_t plane = block * layout->size[0] * layout->size[1] * layout->size[2];
    call->job.x_block = layout->planes * plane;
    call->scratch_size =
        call->job.x_block * (call->own && layout->depthwise ? 1 : layout->from_blocks) +
        (call->own ? DTD_CONV_BEYOND * block : 0);
    const size_t parts = call->spread_n ? 2 : 1;
    size_t each = 0, bytes;
    if (dtd_multiply(call->scratch_size, sizeof(REAL) * parts, &each)) {
        return DTD_ERROR_SIZE;
    }
    const size_t fit = dtd_max(1, CONV_SCRATCH_BYTES / dtd_max(each, 1));
    call->round = copies && !call->own ? dtd_min(call->images, fit) : call->images;
    const size_t copied = call->own ? (size_t)threads : copies ? call->round : 0;
    const size_t slack = DTD_CONV_BEYOND * DTD_BLOCK_BYTES;
    const size_t rows =
        call->spread ? (size_t)threads * 2 * layout->source[2] * DTD_BLOCK_BYTES : 0;
    const size_t offsets = dtd_ceil_div(layout->kernel_size * sizeof(ptrdiff_t), 64) * 64,
                 bias = call->job.b ? layout->to_blocks * DTD_BLOCK_BYTES : 0;
    if (dtd_multiply(each, copied, &bytes) || dtd_check_size(bytes, 1, 4) ||
        dtd_check_size(rows, 1, 4)) {
        return DTD_ERROR_SIZE;
    }
    *memory = dtd_alloc(bytes + 2 * slack + rows + offsets + bias + 64);
    if (*memory == NULL) {
        return DTD_ERROR_MEMORY;
    }
    char *at = *memory;
    call->offsets = (ptrdiff_t *)(void *)at;
    at += offsets;
    if (call->job.b) {
        REAL *const whole = (REAL *)(void *)at;
        for (size_t k = 0; k < layout->to_blocks * block; k++) {
            whole[k] = k < layout->to ? call->job.b[k] : 0;
        }
        call->job.b = whole;
        at += bias;
    }
    if (call->spread) {
        call->rows = (REAL *)(void *)at;
        at += rows;
    }
    if (copies) {
        const size_t half = call->scratch_size * copied;
        call->scratch = (REAL *)(void *)at;
        call->scratch_n = call->spread_n ? call->scratch + half + slack / sizeof(REAL) : NULL;
        memset(call->scratch + half, 0, slack);
        if (call->scratch_n) {
            memset(call->scratch_n + half, 0, slack);
        }
    }
    for (size_t tap = 0; tap < layout->kernel_size; tap++) {
        const ptrdiff_t *const a = layout->at + 3 * tap;
        const ptrdiff_t pixel =
            (a[0] * (ptrdiff_t)layout->size[1] + a[1]) * (ptrdiff_t)layout->size[2] + a[2];
        call->offsets[tap] = pixel * (ptrdiff_t)block + (ptrdiff_t)(layout->plane[tap] * plane);
    }
    return DTD_OK;
}

/* All that can fail of the sums of call->job.mode over all images; transposed: the direction. conv_end frees it. */
static int NAME(conv_start)(const dtd_conv_shape *given, int transposed, NAME(conv_call) *call) {
    dtd_conv_shape shape = *given;
    conv_layout *const layout = &call->kept;
    call->images = shape.samples * shape.targets;
    call->targets = shape.targets;
    size_t pixels = 1;
    int pointwise = 1; /* one tap, no zeros: all pixels of an image are one row */
    for (int axis = 0; axis < 3; axis++) {
        pointwise = pointwise && shape.kernel[axis] == 1 && shape.stride[axis] == 1 &&
                    shape.before[axis] == 0 && shape.in[axis] == shape.out[axis];
        pixels *= shape.in[axis];
    }
    if (pointwise) {
        for (int axis = 0; axis < 3; axis++) {
            shape.in[axis] = shape.out[axis] = axis == 2 ? pixels : 1;
        }
    }
    const int status = make_layout(&shape, transposed, sizeof(REAL), layout);
    if (status) {
        return status;
    }
    call->kernels = dtd_kernel_table();
    call->layout = layout;
    /* without input channels, or weights, there is nothing to read */
    call->x = call->x ? call->x : (const REAL *)layout->memory;
    call->w = call->w ? call->w : (const REAL *)layout->memory;
    const size_t block = layout->block;
    const size_t from_pixels = layout->source[0] * layout->source[1] * layout->source[2],
                 to_pixels = layout->result[0] * layout->result[1] * layout->result[2];
    call->x_size = from_pixels * block * layout->from_blocks;
    call->x_block = from_pixels * block;
    call->result_size = to_pixels * block * layout->to_blocks;
    call->job.out_block = to_pixels * block;
    call->job.depthwise = layout->depthwise;
    call->job.exact = layout->direct && !call->spread;
    const double work = (double)call->images * (double)to_pixels * (double)layout->to *
                        (double)layout->from / (double)layout->groups * (double)layout->kernel_size;
    call->threads = dtd_threads_for(work / (double)(transposed ? layout->classes : 1));
    if (call->job.next) {
        const size_t rows = layout->to_blocks * layout->rows; /* fewer than numbers of an image */
        size_t entries;
        if (dtd_multiply(rows, DTD_ACCOUNT_ENTRIES, &entries) ||
            dtd_multiply(entries, call->images, &entries) ||
            dtd_check_size(entries, 1, sizeof(double))) {
            return DTD_ERROR_SIZE;
        }
        call->totals = dtd_alloc(entries * sizeof(double));
        if (call->totals == NULL) {
            return DTD_ERROR_MEMORY;
        }
        memset(call->totals, 0, entries * sizeof(double));
    }
    return NAME(conv_memory)(call, layout, call->threads, &call->memory);
}

static void NAME(conv_go)(NAME(conv_call) *call) {
    const conv_layout *const layout = call->layout;
    if (call->own) {
        const size_t blocks = layout->depthwise ? layout->from_blocks : 1;
        dtd_parallel(call->row_tasks * call->images * blocks, NAME(own_task), call, call->threads);
        return;
    }
    for (; call->begin < call->images; call->begin += call->round) {
        call->round = dtd_min(call->round, call->images - call->begin);
        if (call->scratch) {
            dtd_parallel(call->round * layout->from_blocks, NAME(plane_task), call, call->threads);
        }
        const size_t tasks = NAME(cut_round)(call, call->threads);
        dtd_parallel(tasks, NAME(row_task), call, call->threads);
    }
}

static void NAME(conv_end)(NAME(conv_call) *call) {
    dtd_free(call->totals);
    dtd_free(call->memory);
    free_layout(&call->kept);
}

static int NAME(conv_run)(const dtd_conv_shape *shape, int transposed, NAME(conv_call) *call) {
    const int status = NAME(conv_start)(shape, transposed, call);
    if (status == DTD_OK) {
        NAME(conv_go)(call);
    }
    NAME(conv_end)(call);
    return status;
}
