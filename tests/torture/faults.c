// Preloaded into a process: ends it, or fills its disk, at one of its calls that change files.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { OFF, COUNT, KILL, FULL };

static int mode = OFF;
static long at = 0, seen = 0;

// from here on, the call number `number` is the one that fails
void arm(int new_mode, long number) { mode = new_mode; at = number; seen = 0; }
long calls(void) { return seen; }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
// whether this call is to fail; a kill never returns
static int fails(void) {
  if (mode == OFF) return 0;
  seen++;
  if (mode == KILL && seen == at) kill(getpid(), SIGKILL);
  return mode == FULL && seen >= at;
}
static int full(void) { errno = ENOSPC; return -1; }
static int is_file(int descriptor) {
  struct stat status;
  return mode != OFF && fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

// the write that fails gets half of its bytes to the disk before
static size_t some(int descriptor, size_t size) {
  if (!is_file(descriptor)) return size;
  if (seen + 1 == at && size > 1) { seen++; return size / 2; }
  return fails() ? 0 : size;
}
static ssize_t end_of(size_t asked, size_t written, ssize_t result) {
  if (mode == KILL && written < asked) kill(getpid(), SIGKILL);
  return result;
}

ssize_t write(int descriptor, const void *bytes, size_t size) {
  size_t allowed = some(descriptor, size);
  if (size && !allowed) return full();
  return end_of(size, allowed, REAL(write)(descriptor, bytes, allowed));
}
ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off64_t offset) {
  size_t allowed = some(descriptor, size);
  if (size && !allowed) return full();
  return end_of(size, allowed, REAL(pwrite64)(descriptor, bytes, allowed, offset));
}
ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset) {
  return pwrite64(descriptor, bytes, size, offset);
}
int ftruncate64(int descriptor, off64_t size) {
  return is_file(descriptor) && fails() ? full() : REAL(ftruncate64)(descriptor, size);
}
int ftruncate(int descriptor, off_t size) { return ftruncate64(descriptor, size); }
int fsync(int descriptor) { return fails() ? full() : REAL(fsync)(descriptor); }
int fdatasync(int descriptor) { return fails() ? full() : REAL(fdatasync)(descriptor); }
int rename(const char *from, const char *to) { return fails() ? full() : REAL(rename)(from, to); }
int mkdir(const char *path, mode_t how) { return fails() ? full() : REAL(mkdir)(path, how); }

// taking away needs no space, but can be the last thing that a process does
static void maybe_end(void) { if (mode != FULL) fails(); }
int unlink(const char *path) { maybe_end(); return REAL(unlink)(path); }
int rmdir(const char *path) { maybe_end(); return REAL(rmdir)(path); }

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t how = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return flags & O_CREAT && fails() ? full() : REAL(open64)(path, flags, how);
}
int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t how = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open64(path, flags, how);
}
