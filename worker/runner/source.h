/* source.h - the code of functions on this worker. A source is fetched and laid out once, read-only, in a
 * folder of its own; before anything of it runs it is checked once per kind of environment:
 *
 *   FETCHING  a thread brings its files              -> QUEUED or BAD, or FAILED
 *   QUEUED    waits for a slot                       -> PREPARING
 *   PREPARING `cashet-runner-LANGUAGE prepare` runs: is it what the client described, does it
 *             compile                                -> READY or BAD, or FAILED
 *   READY     calls may be made
 *   BAD       it can never run here; kept for BAD_NS, then looked at again
 *   FAILED    no fault of its own (blob missing, disk full): forgotten with its last user
 *
 * The least recently used go when there are SOURCES_MAX, but never one in use. Thread: the loop's. */
#pragma once

#include "common/format/source.h"
#include "common/task/layout.h"
#include "worker/jobs.h"
#include "worker/runner/kind.h"
#include "worker/slots.h"

#define SOURCES_MAX 128 /* more only while that many are in use */

struct worker;
struct worker_function;

enum check_state {
	CHECK_FETCHING,
	CHECK_QUEUED,
	CHECK_PREPARING,
	CHECK_READY,
	CHECK_BAD,
	CHECK_FAILED,
};

struct source_place {		  /* a source on this disk */
	struct list link;	  /* least recently used first */
	uint8_t key[DIGEST_SIZE]; /* of the blob and of what the description says of it */
	uint8_t digest[DIGEST_SIZE];
	bool is_call, is_here;
	char *dir;		    /* its folder; files are in DIR/files */
	char *files;		    /* that path */
	struct source source;	    /* once it is here; unchanged from then on */
	struct function_code *code; /* as the description has it */
	size_t code_count;
	struct list checks;
	struct source_fetch *fetch; /* while a thread has it */
};

struct check {
	struct list link;	/* of its place */
	struct list queue_link; /* QUEUED, PREPARING */
	struct source_place *place;
	struct kind *kind;
	char *version;	 /* of the interpreter, that the task names; or NULL */
	uint64_t serial; /* no other has it */
	enum check_state state;
	uint32_t refs; /* attempts */
	char *library; /* READY: of the compiled source, or NULL */
	/* BAD, FAILED: what becomes of attempts */
	int outcome; /* Cashet__Outcome__Kind */
	uint8_t missing[DIGEST_SIZE];
	char *text; /* the first line is the error, all of it goes to its log */
	uint64_t since_ns;
	/* PREPARING */
	struct slot_user user;
	struct dir *dir;
	uint64_t deadline_ns;
	bool is_late;
};

struct sources {
	char *root;
	struct list places;
	size_t place_count;
	struct list queued, preparing;
	size_t preparing_count;
	uint64_t serial;
};

void sources_init(struct sources *s, char *root); /* takes @root, which exists */
void sources_fini(struct sources *s);		  /* no job is out, no slot runs */
/** sources_get() - the check that @f needs with @kind; begins what is to be done for it.
 * Return: to be given back by sources_put(). */
struct check *sources_get(struct worker *w, const struct worker_function *f,
			  struct kind *kind);
void sources_put(struct check *c); /* or NULL */
/** sources_start() - let those that wait have slots that are idle. */
void sources_start(struct worker *w);
/** sources_timers() - end those that take too long. Return: when to call it again. */
uint64_t sources_timers(struct worker *w);
/** sources_unit() - of a call's source, when it is here. */
const struct source_unit *sources_unit(const struct check *c);

/* Told by source.c when a check is READY, BAD or FAILED: calls.c. */
void calls_checked(struct worker *w, struct check *c);
