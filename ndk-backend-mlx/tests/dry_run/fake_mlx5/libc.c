/* The calls of libc that lead to the kernel's RDMA core. All others go through. */
#define _GNU_SOURCE
#include "fake_mlx5.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEVICE "/dev/infiniband/uverbs0"
/* A device that everybody may open, that is a character device as libibverbs checks, and whose pages can be mapped:
 * they stand for the adapter's doorbell pages. The sysfs tree that goes with this gives its numbers. */
#define STANDS_FOR_IT "/dev/zero"

int fake_mlx5_ioctl(struct ib_uverbs_ioctl_hdr *header);

static int device_file = -1;

static bool is_device(const char *path) { return !strcmp(path, DEVICE); }

static int open_file(int directory, const char *path, int flags, mode_t mode)
{
	int file = syscall(SYS_openat, directory, is_device(path) ? STANDS_FOR_IT : path, flags, mode);
	if (is_device(path))
		device_file = file;
	return file;
}

static mode_t mode_of(int flags, va_list arguments)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list arguments;
	va_start(arguments, flags);
	mode_t mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_file(AT_FDCWD, path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...)
{
	va_list arguments;
	va_start(arguments, flags);
	mode_t mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_file(directory, path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int directory, const char *path, int flags, ...) __attribute__((alias("openat")));

int stat(const char *path, struct stat *status)
{
	return fstatat(AT_FDCWD, is_device(path) ? STANDS_FOR_IT : path, status, 0);
}

int stat64(const char *path, struct stat64 *status)
{
	return fstatat64(AT_FDCWD, is_device(path) ? STANDS_FOR_IT : path, status, 0);
}

int ioctl(int file, unsigned long request, ...)
{
	va_list arguments;
	va_start(arguments, request);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	if (request == RDMA_VERBS_IOCTL)
		return fake_mlx5_ioctl(argument);
	return syscall(SYS_ioctl, file, request, argument);
}

/* The interface before ioctl, which libibverbs falls back to. /dev/zero would take it all. */
ssize_t write(int file, const void *bytes, size_t size)
{
	if (file >= 0 && file == device_file) {
		errno = refuse("write of bytes", size, 0);
		return -1;
	}
	return syscall(SYS_write, file, bytes, size);
}

/* libibverbs asks the kernel's RDMA netlink first; it reads sysfs where there is none. */
int socket(int domain, int type, int protocol)
{
	enum { NETLINK = 16, NETLINK_RDMA = 20 };
	if (domain == NETLINK && protocol == NETLINK_RDMA) {
		errno = EPROTONOSUPPORT;
		return -1;
	}
	return syscall(SYS_socket, domain, type, protocol);
}
