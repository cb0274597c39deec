/* Stands in for /dev/udmabuf and /dev/dma_heap where the kernel has neither (LD_PRELOAD).
 *
 * Opening one of those devices opens /dev/null; the requests that make a buffer are answered
 * with a memory file, those that name or synchronise one with success. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

/* As in linux/udmabuf.h, linux/dma-heap.h and linux/dma-buf.h. */
struct udmabuf_create { uint32_t memfd, flags; uint64_t offset, size; };
struct heap_allocation { uint64_t length; uint32_t fd, fd_flags; uint64_t heap_flags; };
#define UDMABUF_CREATE _IOW('u', 0x42, struct udmabuf_create)
#define HEAP_ALLOC _IOWR('H', 0, struct heap_allocation)
#define BUFFER_SYNC _IOW('b', 0, uint64_t)
#define BUFFER_SET_NAME_NUMBER 1

static const char *instead_of(const char *path)
{
    static const char *const devices[] = {
        "/dev/udmabuf", "/dev/dma_heap/vidbuf_cached", "/dev/dma_heap/linux,cma"};
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        if (path && strcmp(path, devices[i]) == 0)
            return "/dev/null";
    return path;
}

static int open_as(const char *symbol, const char *path, int flags, va_list arguments)
{
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, symbol);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    return real(instead_of(path), flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int fd = open_as("open", path, flags, arguments);
    va_end(arguments);
    return fd;
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int fd = open_as("open64", path, flags, arguments);
    va_end(arguments);
    return fd;
}

static int allocate(struct heap_allocation *wanted)
{
    int fd = memfd_create("fake-dma-heap", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    if (ftruncate(fd, (off_t)wanted->length) < 0) {
        close(fd);
        return -1;
    }
    wanted->fd = (uint32_t)fd;
    return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    switch ((uint32_t)request) {
    case (uint32_t)UDMABUF_CREATE:
        return dup((int)((struct udmabuf_create *)argument)->memfd);
    case (uint32_t)HEAP_ALLOC:
        return allocate(argument);
    case (uint32_t)BUFFER_SYNC:
        return 0;
    }
    if (_IOC_TYPE(request) == 'b' && _IOC_NR(request) == BUFFER_SET_NAME_NUMBER)
        return 0;
    int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
    return real(fd, request, argument);
}
