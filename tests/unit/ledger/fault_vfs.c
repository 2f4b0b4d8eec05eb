/* fault_vfs.c - see fault_vfs.h. */
#include "tests/unit/ledger/fault_vfs.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

struct fault_file {
	sqlite3_file base;
	char name[256];
	sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs *real_vfs, vfs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	enum fault_call call;
	char name[64];
	int error;
	unsigned count;
} fault;
static _Thread_local int last_error;

void fault_set(enum fault_call call, const char *name, int error)
{
	pthread_mutex_lock(&lock);
	fault.call = call;
	fault.error = error;
	fault.count = 0;
	snprintf(fault.name, sizeof fault.name, "%s", name);
	pthread_mutex_unlock(&lock);
}

unsigned fault_count(void)
{
	pthread_mutex_lock(&lock);
	unsigned count = fault.count;
	pthread_mutex_unlock(&lock);
	return count;
}

static int ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && strcmp(text + n - m, end) == 0;
}

static int strikes(struct fault_file *f, enum fault_call call)
{
	pthread_mutex_lock(&lock);
	int error =
		fault.call == call && ends_with(f->name, fault.name) ? fault.error : 0;
	fault.count += error != 0;
	pthread_mutex_unlock(&lock);
	last_error = error;
	return error;
}

#define REAL(file) (((struct fault_file *)(file))->real)
#define CALL(file, method, ...) REAL(file)->pMethods->method(REAL(file), ##__VA_ARGS__)

static int f_close(sqlite3_file *f)
{
	return CALL(f, xClose);
}

static int f_read(sqlite3_file *f, void *data, int size, sqlite3_int64 at)
{
	return CALL(f, xRead, data, size, at);
}

static int f_write(sqlite3_file *f, const void *data, int size, sqlite3_int64 at)
{
	int error = strikes((struct fault_file *)f, FAULT_WRITE);
	if (error)
		return error == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
	return CALL(f, xWrite, data, size, at);
}

static int f_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return CALL(f, xTruncate, size);
}

static int f_sync(sqlite3_file *f, int flags)
{
	return strikes((struct fault_file *)f, FAULT_SYNC) ? SQLITE_IOERR_FSYNC
							   : CALL(f, xSync, flags);
}

static int f_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return CALL(f, xFileSize, size);
}

static int f_lock(sqlite3_file *f, int level)
{
	return CALL(f, xLock, level);
}

static int f_unlock(sqlite3_file *f, int level)
{
	return CALL(f, xUnlock, level);
}

static int f_reserved(sqlite3_file *f, int *out)
{
	return CALL(f, xCheckReservedLock, out);
}

static int f_control(sqlite3_file *f, int op, void *arg)
{
	return CALL(f, xFileControl, op, arg);
}

static int f_sector(sqlite3_file *f)
{
	return CALL(f, xSectorSize);
}

static int f_characteristics(sqlite3_file *f)
{
	return CALL(f, xDeviceCharacteristics);
}

static int f_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	return CALL(f, xShmMap, page, size, extend, out);
}

static int f_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return CALL(f, xShmLock, offset, n, flags);
}

static void f_shm_barrier(sqlite3_file *f)
{
	CALL(f, xShmBarrier);
}

static int f_shm_unmap(sqlite3_file *f, int del)
{
	return CALL(f, xShmUnmap, del);
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = f_close,
	.xRead = f_read,
	.xWrite = f_write,
	.xTruncate = f_truncate,
	.xSync = f_sync,
	.xFileSize = f_size,
	.xLock = f_lock,
	.xUnlock = f_unlock,
	.xCheckReservedLock = f_reserved,
	.xFileControl = f_control,
	.xSectorSize = f_sector,
	.xDeviceCharacteristics = f_characteristics,
	.xShmMap = f_shm_map,
	.xShmLock = f_shm_lock,
	.xShmBarrier = f_shm_barrier,
	.xShmUnmap = f_shm_unmap,
};

static int v_open(sqlite3_vfs *v, const char *name, sqlite3_file *file, int flags,
		  int *out)
{
	(void)v;
	struct fault_file *f = (struct fault_file *)file;
	f->real = (sqlite3_file *)(f + 1);
	snprintf(f->name, sizeof f->name, "%s", name ? name : "");
	int rc = real_vfs->xOpen(real_vfs, name, f->real, flags, out);
	f->base.pMethods = f->real->pMethods ? &methods : NULL;
	return rc;
}

static int v_last_error(sqlite3_vfs *v, int size, char *out)
{
	(void)v;
	return last_error ? last_error : real_vfs->xGetLastError(real_vfs, size, out);
}

void fault_vfs_install(void)
{
	if (real_vfs)
		return;
	sqlite3_initialize();
	real_vfs = sqlite3_vfs_find(NULL);
	vfs = *real_vfs; /* the other calls do not look at it */
	vfs.zName = "fault";
	vfs.pNext = NULL;
	vfs.szOsFile = (int)sizeof(struct fault_file) + real_vfs->szOsFile;
	vfs.xOpen = v_open;
	vfs.xGetLastError = v_last_error;
	sqlite3_vfs_register(&vfs, 1);
}
