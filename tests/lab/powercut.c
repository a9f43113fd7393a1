/* A power cut at a chosen file operation: preloaded into the agent, it counts the calls that make
 * changes durable or visible below a directory, and kills the process right before or after one.
 *
 *   POWERCUT_UNDER  only calls on paths below this directory count
 *   POWERCUT_AT     1: before the first call, 2: after it, 3: before the second, ...; 0 or unset: never
 *
 * It works on the dynamic binary that the tests build; the code is that of the static one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_int calls;

static int counts(const char *path)
{
	const char *under = getenv("POWERCUT_UNDER");
	return under && path && strncmp(path, under, strlen(under)) == 0;
}

static int fd_counts(int fd)
{
	char link[64], path[PATH_MAX];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, path, sizeof path - 1);
	if (length < 0)
		return 0;
	path[length] = 0;
	return counts(path);
}

/* The number of the instant before this call; the instant after it is the next. */
static int begin(void)
{
	return 2 * atomic_fetch_add(&calls, 1) + 1;
}

static void cut(int instant)
{
	const char *at = getenv("POWERCUT_AT");
	if (at && atoi(at) == instant)
		kill(getpid(), SIGKILL);
}

#define INTERPOSE(relevant, type, name, parameters, arguments)                      \
	type name parameters                                                        \
	{                                                                           \
		type(*real) parameters = (type(*) parameters)dlsym(RTLD_NEXT, #name); \
		if (!(relevant))                                                    \
			return real arguments;                                      \
		int instant = begin();                                              \
		cut(instant);                                                       \
		type result = real arguments;                                       \
		cut(instant + 1);                                                   \
		return result;                                                      \
	}

INTERPOSE(counts(from), int, rename, (const char *from, const char *to), (from, to))
INTERPOSE(counts(from), int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
INTERPOSE(counts(from), int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags),
	  (a, from, b, to, flags))
INTERPOSE(counts(path), int, unlink, (const char *path), (path))
INTERPOSE(counts(from), int, link, (const char *from, const char *to), (from, to))
INTERPOSE(counts(path), int, mkdir, (const char *path, unsigned mode), (path, mode))
INTERPOSE(counts(path), int, rmdir, (const char *path), (path))
INTERPOSE(fd_counts(fd), int, fsync, (int fd), (fd))
INTERPOSE(fd_counts(fd), int, fdatasync, (int fd), (fd))
