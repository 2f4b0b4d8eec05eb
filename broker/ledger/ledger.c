/* ledger.c - see ledger.h and impl.h: open, close, and what the loop's thread calls. */
#include "broker/ledger/impl.h"

#include "broker/ledger/journal_open.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- states ---- */

void ledger_signal(struct ledger *l)
{
	if (atomic_exchange(&l->signalled, true))
		return;
	uint64_t one = 1;
	ssize_t n = write(l->event_fd, &one, sizeof one);
	(void)n; /* it cannot overflow: one write per ledger_durable() */
}

void ledger_set_full(struct ledger *l, enum ledger_part part, const struct err *why)
{
	pthread_mutex_lock(&l->lock);
	l->full[part] = why;
	if (why)
		l->why[part] = *why;
	pthread_mutex_unlock(&l->lock);
	if (why)
		log_error("ledger waits for room", "error=\"%s\"", why->what);
	else
		log_info("ledger goes on", "part=%d", part);
	ledger_signal(l);
}

void ledger_set_broken(struct ledger *l, const struct err *why)
{
	pthread_mutex_lock(&l->lock);
	bool first = !l->broken;
	if (first) {
		l->broken = true;
		l->why[PART_JOURNAL] = *why;
	}
	pthread_mutex_unlock(&l->lock);
	if (first)
		log_error("ledger broken", "error=\"%s\"", why->what);
	ledger_signal(l);
}

void ledger_condemn_index(struct ledger *l, const char *text)
{
	struct err why;
	err_set(&why, ERR_FAILED, "%s/index.db is damaged: %s", l->dir, text);
	err_next(&why, "Start the broker again: it was moved aside and is made anew from "
		       "meta.db.");
	pthread_mutex_lock(&l->lock);
	bool first = !l->broken;
	pthread_mutex_unlock(&l->lock);
	if (first)
		index_move_aside(l->dir);
	ledger_set_broken(l, &why);
}

enum ledger_state ledger_state(const struct ledger *ledger, struct err *why)
{
	struct ledger *l =
		(struct ledger *)ledger; /* the lock is no part of what it is */
	enum ledger_state state = LEDGER_OK;
	pthread_mutex_lock(&l->lock);
	if (l->broken || l->full[PART_JOURNAL] || l->full[PART_INDEX]) {
		state = l->broken ? LEDGER_BROKEN : LEDGER_FULL;
		bool journal = l->broken || l->full[PART_JOURNAL];
		if (why)
			*why = l->why[journal ? PART_JOURNAL : PART_INDEX];
	}
	pthread_mutex_unlock(&l->lock);
	return state;
}

/* ---- open and close ---- */

static int start(pthread_t *thread, void *(*fn)(void *), struct ledger *l)
{
	sigset_t all, old;
	sigfillset(&all);
	/* Signals are the loop's. */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(thread, NULL, fn, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

static int init_journal(struct ledger *l, sqlite3 *db, uint64_t boot, struct err *e)
{
	int rc = journal_init(&l->journal, db, boot, &l->gap);
	if (rc == SQLITE_OK)
		return 0;
	CLEANUP_BUF struct buf why = {0};
	db_describe(&why, db, rc);
	return err_set(e, ERR_FAILED, "cannot read %s/meta.db: %s", l->dir,
		       buf_cstr(&why));
}

static void init(struct ledger *l, const char *dir)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->work, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->readers_lock, NULL);
	turn_pool_init(&l->pool);
	gap_init(&l->gap);
	l->dir = mem_strdup(dir);
	l->last = &l->first;
	l->event_fd = -1;
}

static int find_older(void *ledger, const uint8_t key[DIGEST_SIZE], uint64_t below,
		      struct gap_seqs *out)
{
	struct ledger *l = ledger;
	int rc = older_find(&l->older, key, below, out);
	if (db_trouble(l->older.db, rc) == DB_DAMAGED)
		ledger_condemn_index(l, sqlite3_errstr(rc));
	return rc;
}

static int open_all(struct ledger *l, struct ledger_info *info, struct err *e)
{
	sqlite3 *db = NULL;
	l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->event_fd < 0)
		return err_set(e, ERR_FAILED, "cannot make an eventfd: %s",
			       strerror(errno));
	if (journal_open(&db, l->dir, info, e))
		return ERR_FAILED;
	l->journal.db = db; /* closed with the ledger from here on */
	if (init_journal(l, db, info->boot, e) ||
	    index_open(&l->index, l->dir, db, info->store_id, &info->index_rebuilt, e))
		return ERR_FAILED;
	l->gap.fresh->mark = l->index.mark;
	l->older = (struct older){.gap = &l->gap, .dir = l->dir};
	l->journal.older = (struct journal_older){find_older, l};
	int rc = start(&l->writer, ledger_writer_main, l);
	l->writer_started = rc == 0;
	if (rc == 0)
		rc = start(&l->indexer, ledger_index_main, l);
	l->indexer_started = rc == 0;
	if (rc)
		return err_set(e, ERR_FAILED, "cannot start a thread: %s", strerror(rc));
	return 0;
}

int ledger_open(struct ledger **ledgerp, const char *dir, struct ledger_info *info,
		struct err *e)
{
	struct ledger *l = mem_alloc(sizeof *l);
	struct ledger_info found = {0};
	init(l, dir);
	if (open_all(l, &found, e)) {
		ledger_close(l);
		return ERR_FAILED;
	}
	log_info("ledger opened",
		 "dir=%s boot=%" PRIu64 " next_commit=%" PRIu64 " next_batch=%" PRIu64,
		 dir, found.boot, found.next_commit, found.next_batch);
	*info = found;
	*ledgerp = l;
	return 0;
}

static void stop_threads(struct ledger *l)
{
	pthread_mutex_lock(&l->lock);
	l->closing = true;
	pthread_mutex_unlock(&l->lock);
	pthread_cond_broadcast(&l->work);
	gap_unbound(&l->gap);
	if (l->writer_started)
		pthread_join(l->writer, NULL);
	gap_close(&l->gap);
	if (l->indexer_started)
		pthread_join(l->indexer, NULL);
}

/* close_index() - once all of it is in its file, the journal need not tell it anything again. */
static void close_index(struct ledger *l)
{
	struct journal *j = &l->journal;
	if (index_checkpoint(&l->index, INDEX_CLOSING) != SQLITE_OK ||
	    !index_is_synced(&l->index))
		return;
	while (journal_chore_due(j, l->index.mark.change))
		if (journal_chore(j, l->index.mark.change) != SQLITE_OK)
			break;
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	assert(!l->readers); /* they use what ends here */
	stop_threads(l);
	older_fini(&l->older);
	if (l->index.db) {
		if (!l->broken)
			close_index(l);
		index_close(&l->index);
	}
	sqlite3 *db = l->journal.db;
	journal_fini(&l->journal);
	if (db && l->broken) {
		/* What the disk holds is not known: leave it to the next start. */
		sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		db_close(db);
	} else if (db)
		journal_close_clean(db);
	if (l->event_fd >= 0)
		close(l->event_fd);
	gap_fini(&l->gap);
	turn_pool_fini(&l->pool);
	pthread_cond_destroy(&l->work);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->readers_lock);
	free(l->dir);
	free(l);
}

/* ---- turns ---- */

struct ledger_turn *ledger_turn_new(struct ledger *ledger)
{
	return turn_take(&ledger->pool);
}

void ledger_hand_in(struct ledger *l, struct ledger_turn *t, uint64_t step)
{
	t->step = step;
	t->hold_until = t->may_wait_ns ? clock_mono_ns() + t->may_wait_ns : 0;
	t->next = NULL;
	/* An empty turn holds nothing up, and is held up by those before it alone. */
	if (ledger_turn_empty(t))
		t->hold_until = TIME_NEVER;
	pthread_mutex_lock(&l->lock);
	if (ledger_turn_empty(t) && l->writer_idle && !l->first && !l->broken) {
		atomic_store(&l->durable, step);
		pthread_mutex_unlock(&l->lock);
		turn_give_back(t);
		ledger_signal(l);
		return;
	}
	atomic_fetch_add(&l->queued_bytes, t->bytes);
	*l->last = t;
	l->last = &t->next;
	pthread_mutex_unlock(&l->lock);
	pthread_cond_signal(&l->work);
}

int ledger_fd(const struct ledger *ledger)
{
	return ledger->event_fd;
}

uint64_t ledger_durable(struct ledger *l)
{
	/* In this order: what becomes durable after the load makes the descriptor readable again. */
	uint64_t count;
	ssize_t n = read(l->event_fd, &count, sizeof count);
	(void)n; /* nothing to read: called without having waited */
	atomic_store(&l->signalled, false);
	return atomic_load(&l->durable);
}

bool ledger_is_filling(struct ledger *l)
{
	return gap_is_filling(&l->gap);
}

uint64_t ledger_queued_bytes(const struct ledger *ledger)
{
	return atomic_load(&((struct ledger *)ledger)->queued_bytes);
}
