/* A stand-in for libedgetpu, for tests: no Edge TPU is needed, and none is driven.
 *
 * A TensorFlow Lite delegate plugin, loaded as the real library is. It takes every
 * edgetpu-custom-op of a graph and fills its outputs, one after the other, with the bytes of
 * the op's input. What goes wrong is set in the environment:
 *
 *   STAND_IN_FAULT  create-fails, create-fails-silently (as libedgetpu does without a stick),
 *                   create-hangs, create-aborts; or KIND@N at the N-th invoke since its creation:
 *                   fails@N, aborts@N, segfaults@N, hangs@N, slow@N (and every one after it)
 *   STAND_IN_ONCE   a file: the fault happens while it does not exist, and creates it
 *   STAND_IN_LOG    a file: each creation is appended, with the options that were passed
 *
 * The structs repeat the C ABI of TensorFlow Lite (tflite/core/c/common.h), whose authors only
 * ever append to them; just the fields used here have names of their own.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, ERROR = 1, ALLOW_DYNAMIC_TENSORS = 1, SLOW_US = 5000 };

typedef struct { int size; int data[]; } IntArray;

typedef struct {
    int type;
    void *data;
    IntArray *dims;
    struct { float scale; int32_t zero_point; } params;
    int allocation_type;
    size_t bytes;
    const void *allocation;
    const char *name;
    void *delegate;
    int buffer_handle;
    bool data_is_stale, is_variable;
    struct { int type; void *params; } quantization;
    void *sparsity;
    const IntArray *dims_signature;
} Tensor;

typedef struct {
    IntArray *inputs, *outputs;
} Node;

typedef struct Context Context;
typedef struct Delegate Delegate;

typedef struct {
    void *(*init)(Context *, const char *, size_t);
    void (*free)(Context *, void *);
    int (*prepare)(Context *, Node *);
    int (*invoke)(Context *, Node *);
    const char *(*profiling_string)(const Context *, const Node *);
    int32_t builtin_code;
    const char *custom_name;
    int version;
    void *reserved[8]; /* fields of later versions, all zero */
} Registration;

struct Context {
    size_t tensors_size;
    int (*GetExecutionPlan)(Context *, IntArray **);
    Tensor *tensors;
    void *impl;
    void *ResizeTensor, *ReportError, *AddTensors;
    int (*GetNodeAndRegistration)(Context *, int, Node **, Registration **);
    int (*ReplaceNodeSubsetsWithDelegateKernels)(Context *, Registration, const IntArray *,
                                                 Delegate *);
};

struct Delegate {
    void *data;
    int (*Prepare)(Context *, Delegate *);
    void *CopyFromBufferHandle, *CopyToBufferHandle, *FreeBufferHandle;
    int64_t flags;
    void *reserved[4];
};

static int invokes;

/* Whether `kind` is the fault to play, now; *at is the N of KIND@N. */
static bool fault_is(const char *kind, int *at) {
    const char *fault = getenv("STAND_IN_FAULT");
    size_t length = strlen(kind);
    if (!fault || strncmp(fault, kind, length)) return false;
    if (fault[length] != (at ? '@' : '\0')) return false;
    if (at) *at = atoi(fault + length + 1);
    return true;
}

static bool not_yet(void) {
    const char *once = getenv("STAND_IN_ONCE");
    if (!once) return true;
    int file = open(once, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (file >= 0) close(file);
    return file >= 0;
}

static bool create_is_to(const char *kind) { return fault_is(kind, NULL) && not_yet(); }

static bool invoke_is_to(const char *kind) {
    int at;
    return fault_is(kind, &at) && invokes == at && not_yet();
}

static void hang(void) {
    for (;;) pause();
}

static int invoke(Context *context, Node *node) {
    int slow_from;
    invokes++;
    if (invoke_is_to("fails")) return ERROR;
    if (invoke_is_to("aborts")) abort();
    if (invoke_is_to("segfaults")) *(volatile int *)8 = 0;
    if (invoke_is_to("hangs")) hang();
    if (fault_is("slow", &slow_from) && invokes >= slow_from) usleep(SLOW_US);
    const Tensor *input = &context->tensors[node->inputs->data[0]];
    size_t used = 0;
    for (int i = 0; i < node->outputs->size; i++) {
        Tensor *output = &context->tensors[node->outputs->data[i]];
        if (used + output->bytes > input->bytes) return ERROR;
        memcpy(output->data, (const char *)input->data + used, output->bytes);
        used += output->bytes;
    }
    return OK;
}

static int prepare(Context *context, Delegate *delegate) {
    IntArray *plan;
    if (context->GetExecutionPlan(context, &plan)) return ERROR;
    IntArray *mine = calloc(1, sizeof *mine + plan->size * sizeof(int));
    for (int i = 0; i < plan->size; i++) {
        Node *node;
        Registration *op;
        if (context->GetNodeAndRegistration(context, plan->data[i], &node, &op)) return ERROR;
        if (op->custom_name && !strcmp(op->custom_name, "edgetpu-custom-op"))
            mine->data[mine->size++] = plan->data[i];
    }
    Registration kernel = {.invoke = invoke, .custom_name = "StandInForEdgeTpu", .version = 1};
    int status =
        context->ReplaceNodeSubsetsWithDelegateKernels(context, kernel, mine, delegate);
    free(mine);
    return status;
}

static void log_creation(char **keys, char **values, size_t count) {
    const char *path = getenv("STAND_IN_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file) return;
    fprintf(file, "created");
    for (size_t i = 0; i < count; i++) fprintf(file, " %s=%s", keys[i], values[i]);
    fprintf(file, "\n");
    fclose(file);
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count,
                                        void (*report_error)(const char *)) {
    invokes = 0;
    log_creation(keys, values, count);
    if (create_is_to("create-fails-silently")) return NULL;
    if (create_is_to("create-hangs")) hang();
    if (create_is_to("create-aborts")) abort();
    if (create_is_to("create-fails")) {
        if (report_error) report_error("the stand-in was told to fail");
        return NULL;
    }
    Delegate *delegate = calloc(1, sizeof *delegate);
    delegate->Prepare = prepare;
    delegate->flags = ALLOW_DYNAMIC_TENSORS;
    return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { free(delegate); }
