/* index_sync.c - what is in the log of index.db goes into the database, and to the disk.
 *
 * SQLite does that in three strokes: sync the log, write the pages, sync the database. A layer changes
 * most pages of the index, so each sync has tens of MiB to write, and a sync of the journal that comes
 * meanwhile waits for all of them (100 ms and more, measured, on a disk that is otherwise idle).
 * So the kernel is made to write a window at a time first, and the syncs find nothing left to do. To
 * get between the second stroke and the third, SQLite is told not to sync, and its files are synced
 * here, in the same order: the log before any page is written, the database before the log is begun
 * anew, which only the next index_write() does, on this thread. */
#include "broker/ledger/index.h"

#include "common/pure/buf.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define IDLE_PAGES 512	/* 4 MiB in the log */
#define BUSY_PAGES 8192 /* 64 MiB */
#define WINDOW (1 << 20)

enum { DATABASE, LOG };

/* file_of() - ours, for as long as SQLite has its own: closing any descriptor of the database ends all
 * locks that this process has on it. Return: -1: it cannot be opened, and nothing is lost. */
static int file_of(struct index *index, int which)
{
	CLEANUP_BUF struct buf path = {0};
	if (index->files[which] < 0) {
		buf_printf(&path, "%s%s", index->path, which == LOG ? "-wal" : "");
		index->files[which] = open(buf_cstr(&path), O_RDWR | O_CLOEXEC);
	}
	return index->files[which];
}

void index_forget_files(struct index *index)
{
	for (size_t i = 0; i < ARRAY_LEN(index->files); i++) {
		if (index->files[i] >= 0)
			close(index->files[i]);
		index->files[i] = -1;
	}
}

/* write_back() - a window at a time. Errors are the sync's to tell. */
static void write_back(struct index *index, int which)
{
	struct stat st;
	int fd = file_of(index, which);
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	for (off_t at = 0; at < st.st_size; at += WINDOW)
		(void)sync_file_range(fd, at, WINDOW,
				      SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

static int sync_file(struct index *index, int which)
{
	sqlite3_file *file = NULL;
	write_back(index, which);
	int rc = sqlite3_file_control(index->db, "main",
				      which == LOG ? SQLITE_FCNTL_JOURNAL_POINTER
						   : SQLITE_FCNTL_FILE_POINTER,
				      &file);
	if (rc != SQLITE_OK || !file || !file->pMethods)
		return rc;
	return file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
}

static int move_pages(struct index *index, int mode, uint64_t *donep)
{
	int pages = 0, done = 0;
	int rc = sqlite3_wal_checkpoint_v2(index->db, NULL, mode, &pages, &done);
	*donep = done > 0 ? (uint64_t)done : 0;
	return rc;
}

/* in_steps() - Return: SQLite's code; with any but SQLITE_OK nothing counts as moved. */
static int in_steps(struct index *index, uint64_t *donep)
{
	int rc = sync_file(index, LOG);
	if (rc != SQLITE_OK)
		return rc;
	rc = db_exec(index->db, "PRAGMA synchronous=OFF");
	if (rc == SQLITE_OK)
		rc = move_pages(index, SQLITE_CHECKPOINT_PASSIVE, donep);
	int end = db_exec(index->db, "PRAGMA synchronous=NORMAL");
	/* Also what was moved when it failed: the next one goes on behind it. */
	int synced = sync_file(index, DATABASE);
	if (synced != SQLITE_OK)
		return synced;
	return rc == SQLITE_OK ? end : rc;
}

int index_checkpoint(struct index *index, enum index_when when)
{
	static const uint64_t enough[] = {[INDEX_BUSY] = BUSY_PAGES,
					  [INDEX_IDLE] = IDLE_PAGES,
					  [INDEX_CLOSING] = 1};
	uint64_t done = 0;
	if (index->wal_pages - index->wal_done < enough[when])
		return SQLITE_OK;
	int rc = when == INDEX_CLOSING
			 ? move_pages(index, SQLITE_CHECKPOINT_TRUNCATE, &done)
			 : in_steps(index, &done);
	if ((rc & 0xff) == SQLITE_BUSY)
		return SQLITE_OK; /* a reader is in the way; next time */
	if (rc == SQLITE_OK)
		index->wal_done = done;
	if (when == INDEX_CLOSING && rc == SQLITE_OK)
		index->wal_pages = index->wal_done = 0; /* the log is empty now */
	return rc;
}

bool index_is_synced(const struct index *index)
{
	return index->wal_done == index->wal_pages;
}
