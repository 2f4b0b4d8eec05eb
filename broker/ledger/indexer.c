/* indexer.c - the thread that owns index.db: it takes the gap in large layers and writes them down.
 * It yields to the loop and the writer: being late costs memory only, and only so much (see
 * FRESH_MAX in gap.c). */
#include "broker/ledger/impl.h"

#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#define RETRY_MS 500
#define NICENESS 5

/* trouble() - what to do about @rc. Return: true to try again. */
static bool trouble(struct ledger *l, int rc, bool *fullp)
{
	struct index *index = &l->index;
	struct err why;
	CLEANUP_BUF struct buf text = {0};
	db_describe(&text, index->db, rc);
	err_set(&why, ERR_FAILED, "cannot write %s: %s", index->path, buf_cstr(&text));
	switch (db_trouble(index->db, rc)) {
	case DB_FINE:
		return false;
	case DB_NO_ROOM:
		err_next(&why,
			 "Make room on the disk of the store; it goes on by itself.");
		if (!*fullp)
			ledger_set_full(l, PART_INDEX, &why);
		*fullp = true;
		break;
	case DB_DAMAGED:
		ledger_condemn_index(l, buf_cstr(&text));
		return false;
	case DB_FAILED:
		ledger_set_broken(l, &why);
		return false;
	}
	pthread_mutex_lock(&l->gap.lock);
	bool again = !l->gap.closing;
	pthread_mutex_unlock(&l->gap.lock);
	if (again)
		nanosleep(&(struct timespec){.tv_nsec = RETRY_MS * (long)NS_PER_MS},
			  NULL);
	return again;
}

/* write_layer() - Return: true once it is in index.db. */
static bool write_layer(struct ledger *l, const struct gap_layer *layer)
{
	bool full = false;
	for (;;) {
		int rc = index_write(&l->index, layer);
		if (rc == SQLITE_OK) {
			if (full)
				ledger_set_full(l, PART_INDEX, NULL);
			return true;
		}
		if (!trouble(l, rc, &full))
			return false;
		/* What is in the log may fit into the database's file; if not, no harm is done. */
		index_checkpoint(&l->index, INDEX_IDLE);
	}
}

static void set_wanted(struct ledger *l)
{
	pthread_mutex_lock(&l->gap.lock);
	l->gap.wanted = index_wanted(&l->index);
	pthread_mutex_unlock(&l->gap.lock);
}

/* checkpoint() - without room or with a reader in the way it is only put off. Return: false if the
 * index cannot be used any more. */
static bool checkpoint(struct ledger *l, bool busy)
{
	int rc = index_checkpoint(&l->index, busy ? INDEX_BUSY : INDEX_IDLE);
	enum db_trouble t = db_trouble(l->index.db, rc);
	bool told = true;
	ledger_release_readers(l, false, true);
	if (index_is_synced(&l->index)) {
		atomic_store(&l->changes_safe, l->index.mark.change);
		pthread_cond_signal(&l->work);
	}
	if (!busy)
		sqlite3_db_release_memory(
			l->index.db); /* the next layer may be far away */
	return t == DB_FINE || t == DB_NO_ROOM || trouble(l, rc, &told);
}

void *ledger_index_main(void *arg)
{
	struct ledger *l = arg;
	const struct gap_layer *layer;
	prctl(PR_SET_NAME, "ledger-index", 0, 0, 0);
	setpriority(PRIO_PROCESS, 0, NICENESS); /* on Linux: of this thread */
	set_wanted(l);
	while ((layer = gap_seal(&l->gap))) {
		uint64_t began = clock_mono_ns();
		bool busy = layer->count >= index_wanted(&l->index);
		if (!write_layer(l, layer))
			break;
		log_debug("index written", "entries=%zu ms=%" PRIu64, layer->count,
			  (uint64_t)((clock_mono_ns() - began) / NS_PER_MS));
		ledger_release_readers(l, false, true);
		gap_drop_sealed(&l->gap);
		if (!checkpoint(l, busy))
			break;
		set_wanted(l);
	}
	pthread_mutex_lock(&l->gap.lock);
	l->gap.stopped = true;
	pthread_mutex_unlock(&l->gap.lock);
	pthread_cond_broadcast(&l->gap.changed);
	return NULL;
}
