/* usage.h - how --help of all programs looks, and the command lines of the daemons.
 *
 * The daemons' options stand in one table each, here and not beside the daemons: from it come the
 * table for getopt_long(), --help, the manual page and the shells' completion. To add an option: its
 * number in the enum, its row in daemon_broker or daemon_worker, a case where the daemon takes it. */
#pragma once

#include "common/pure/buf.h"

#include <getopt.h>

#define USAGE_COLUMNS 80
#define USAGE_LEFT 24 /* columns of what is explained on the right */

/** usage_row() - "  @left  @help", @help wrapped and indented. */
void usage_row(struct buf *out, const char *left, const char *help);
/** usage_text() - @text, wrapped; its own line ends count. */
void usage_text(struct buf *out, const char *text);

struct flag {
	const char *name;  /* without -- */
	const char *value; /* what its value is called; NULL: it has none */
	/* What the value can be, for completion: "file", "dir", "=THIS THAT"; NULL: anything */
	const char *complete;
	const char *help;
};

struct daemon {
	const char *name, *summary;
	const char *synopsis; /* lines, without "usage:" */
	const char *text;     /* more; several lines */
	/* Words that may stand in front, separated by spaces: subcommands; "" if none */
	const char *words;
	const struct flag *flags;
	size_t flag_count;
};

enum broker_flag {
	BROKER_LISTEN,
	BROKER_BLOB_LISTEN,
	BROKER_STORE,
	BROKER_KEY,
	BROKER_INSECURE,
	BROKER_DRAIN_TIMEOUT,
	BROKER_LOG_LEVEL,
	BROKER_PRIVATE,
	BROKER_VERSION,
	BROKER_HELP,
	BROKER_FLAGS
};

enum worker_flag {
	WORKER_BROKER,
	WORKER_NAME,
	WORKER_CPUS,
	WORKER_MEMORY,
	WORKER_GPUS,
	WORKER_RESOURCE,
	WORKER_PYTHON,
	WORKER_WORK_DIR,
	WORKER_CACHE_SIZE,
	WORKER_CHECKPOINT_MAX,
	WORKER_KEY,
	WORKER_INSECURE,
	WORKER_DRAIN_TIMEOUT,
	WORKER_LOG_LEVEL,
	WORKER_PRIVATE,
	WORKER_VERSION,
	WORKER_HELP,
	WORKER_FLAGS
};

#define DAEMON_FLAGS_MAX 32
/* What getopt_long() returns for flag k is DAEMON_FLAG + k. */
#define DAEMON_FLAG 1000

extern const struct daemon daemon_broker, daemon_worker;

/** daemon_getopt() - the table for getopt_long(), ended by a zeroed row. */
void daemon_getopt(const struct daemon *d, struct option out[DAEMON_FLAGS_MAX + 1]);
/** daemon_help() - what --help prints, to standard output. */
void daemon_help(const struct daemon *d);
/** daemon_suggest() - the option nearest to @word ("--lisen"), without "--"; NULL: none is near. */
const char *daemon_suggest(const struct daemon *d, const char *word);
