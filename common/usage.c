/* usage.c - see usage.h. */
#include "common/usage.h"

#include "common/names.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- how it looks ---- */

/* @text from column @at on; further lines begin in column @indent. Ends the line. */
static void wrap(struct buf *out, const char *text, size_t at, size_t indent)
{
	bool begins = true;
	while (*text) {
		size_t size = strcspn(text, " \n");
		if (!begins && at + 1 + size > USAGE_COLUMNS) {
			buf_printf(out, "\n%*s", (int)indent, "");
			at = indent;
		} else if (!begins) {
			buf_add_byte(out, ' ');
			at++;
		}
		buf_add(out, text, size);
		at += size;
		begins = false;
		text += size;
		if (*text == '\n') {
			buf_printf(out, "\n%*s", text[1] ? (int)indent : 0, "");
			at = indent;
			begins = true;
		}
		text += *text != '\0';
	}
	if (!begins)
		buf_add_byte(out, '\n');
}

void usage_row(struct buf *out, const char *left, const char *help)
{
	size_t indent = 2 + USAGE_LEFT + 2, size = strlen(left);
	buf_printf(out, "  %s", left);
	if (size > USAGE_LEFT)
		buf_printf(out, "\n%*s", (int)indent, "");
	else
		buf_printf(out, "%*s", (int)(USAGE_LEFT - size + 2), "");
	wrap(out, help, indent, indent);
}

void usage_text(struct buf *out, const char *text)
{
	wrap(out, text, 0, 0);
}

/* ---- the daemons ---- */

#define LEVELS "=error warn info debug"

static const struct flag broker_flags[] = {
	[BROKER_LISTEN] = {"listen", "URL", NULL,
			   "tcp://HOST:PORT or ipc://PATH; may be repeated. The store's "
			   "own socket, DIR/run/broker.sock, is always there"},
	[BROKER_BLOB_LISTEN] = {"blob-listen", "URL", NULL,
				"where blobs of the --listen of the same position go "
				"(PORT + 1, PATH.blobs)"},
	[BROKER_STORE] = {"store", "DIR", "dir",
			  "the store; else CASHET_DIR, else ./.cashet"},
	[BROKER_KEY] = {"key", "FILE", "file",
			"secret key for TCP; else CASHET_KEY, else the one in "
			"~/.config/cashet"},
	[BROKER_INSECURE] = {"insecure", NULL, NULL,
			     "TCP without keys, for a network that you trust"},
	[BROKER_DRAIN_TIMEOUT] = {"drain-timeout", "DURATION", NULL,
				  "at SIGTERM wait this long for running tasks; else "
				  "until they have ended"},
	[BROKER_LOG_LEVEL] = {"log-level", "LEVEL", LEVELS,
			      "error, warn, info or debug (default: info)"},
	[BROKER_PRIVATE] = {"private", NULL, NULL,
			    "as clients start it for a store directory: with one local "
			    "worker; ends a minute after the last client"},
	[BROKER_VERSION] = {"version", NULL, NULL, "print the version"},
	[BROKER_HELP] = {"help", NULL, NULL, "explain the program"},
};
_Static_assert(sizeof broker_flags / sizeof *broker_flags == BROKER_FLAGS, "a row each");

static const struct flag worker_flags[] = {
	[WORKER_BROKER] = {"broker", "URL", NULL,
			   "tcp://HOST:PORT or ipc://PATH; else CASHET_BROKER"},
	[WORKER_NAME] = {"name", "NAME", NULL,
			 "how people see this worker (default: the host's name)"},
	[WORKER_CPUS] =
		{"cpus", "N", NULL,
		 "cores to offer; 0.5 is half a one (default: all that are available)"},
	[WORKER_MEMORY] =
		{"memory", "SIZE", NULL,
		 "memory to offer, for example 8GiB (default: 90% of the machine's)"},
	[WORKER_GPUS] = {"gpus", "N|I,J,...", NULL,
			 "number of GPUs, or device indices; '2,' is device 2 alone"},
	[WORKER_RESOURCE] = {"resource", "NAME=N", NULL,
			     "anything else that tasks ask for; may be repeated"},
	[WORKER_PYTHON] =
		{"python", "NAME=PATH", NULL,
		 "the interpreter that tasks mean by `python: NAME`; may be repeated"},
	[WORKER_WORK_DIR] = {"work-dir", "DIR", "dir",
			     "directories of tasks and cache of inputs "
			     "(default: ${TMPDIR:-/var/tmp}/cashet-UID/NAME-PID)"},
	[WORKER_CACHE_SIZE] = {"cache-size", "SIZE", NULL,
			       "bound of the cache of inputs (default: 2GiB)"},
	[WORKER_CHECKPOINT_MAX] = {"checkpoint-max", "SIZE", NULL,
				   "what a task may keep in $CASHET_CHECKPOINT for its "
				   "next attempt; 0: nothing (default: 4GiB)"},
	[WORKER_KEY] = {"key", "FILE", "file",
			"this worker's key; else CASHET_KEY, else the only one in "
			"~/.config/cashet"},
	[WORKER_INSECURE] = {"insecure", NULL, NULL,
			     "use no keys, towards a broker that runs --insecure; also "
			     "CASHET_INSECURE=1"},
	[WORKER_DRAIN_TIMEOUT] = {"drain-timeout", "DURATION", NULL,
				  "at SIGTERM give running tasks this long; else as long "
				  "as they take"},
	[WORKER_LOG_LEVEL] = {"log-level", "LEVEL", LEVELS,
			      "error, warn, info or debug (default: info)"},
	[WORKER_PRIVATE] = {"private", NULL, NULL,
			    "as a private broker starts it: end when that is gone for "
			    "good"},
	[WORKER_VERSION] = {"version", NULL, NULL, "print the version"},
	[WORKER_HELP] = {"help", NULL, NULL, "explain the program"},
};
_Static_assert(sizeof worker_flags / sizeof *worker_flags == WORKER_FLAGS, "a row each");

const struct daemon daemon_broker = {
	.name = "cashet-broker",
	.summary = "take batches, lease what is not cached to workers, keep the results",
	.synopsis = "cashet-broker [OPTIONS]\n"
		    "cashet-broker status|workers|queue|drain [--broker URL]",
	.text = "Looks after one store. Clients and workers connect to it; it says in "
		"its "
		"log, on standard error, what it does.\n"
		"SIGTERM or SIGINT drains: what runs ends, nothing new begins, and the "
		"broker ends. What was acknowledged is on disk at any time: after a "
		"crash "
		"the same command goes on, and adopts what still runs.\n"
		"The words status, workers, queue and drain look at a running broker: "
		"they "
		"are cashet broker status, cashet worker ls, cashet ps and cashet broker "
		"drain.",
	.words = "status workers queue drain",
	.flags = broker_flags,
	.flag_count = BROKER_FLAGS,
};

const struct daemon daemon_worker = {
	.name = "cashet-worker",
	.summary = "execute tasks of a broker",
	.synopsis = "cashet-worker --broker URL [OPTIONS]",
	.text = "Each task runs in a fresh directory of its own, with its code, its "
		"inputs "
		"and its environment only. When the broker is gone, what runs goes on, "
		"and "
		"is reported when it is back.\n"
		"SIGTERM or SIGINT drains: running tasks finish, unstarted ones go back. "
		"A "
		"second one stops running tasks as well.",
	.words = "",
	.flags = worker_flags,
	.flag_count = WORKER_FLAGS,
};

void daemon_getopt(const struct daemon *d, struct option out[DAEMON_FLAGS_MAX + 1])
{
	assert(d->flag_count <= DAEMON_FLAGS_MAX);
	for (size_t i = 0; i < d->flag_count; i++)
		out[i] = (struct option){d->flags[i].name,
					 d->flags[i].value ? required_argument
							   : no_argument,
					 NULL, DAEMON_FLAG + (int)i};
	out[d->flag_count] = (struct option){0};
}

void daemon_help(const struct daemon *d)
{
	CLEANUP_BUF struct buf out = {0};
	for (const char *line = d->synopsis; *line;) {
		size_t size = strcspn(line, "\n");
		buf_printf(&out, "%s%.*s\n", line == d->synopsis ? "usage: " : "       ",
			   (int)size, line);
		line += size + (line[size] == '\n');
	}
	buf_printf(&out, "\n%s\n\n", d->summary);
	usage_text(&out, d->text);
	buf_add_str(&out, "\noptions\n");
	for (size_t i = 0; i < d->flag_count; i++) {
		char left[64];
		snprintf(left, sizeof left, "--%s%s%s", d->flags[i].name,
			 d->flags[i].value ? " " : "",
			 d->flags[i].value ? d->flags[i].value : "");
		usage_row(&out, left, d->flags[i].help);
	}
	fputs(buf_cstr(&out), stdout);
}

const char *daemon_suggest(const struct daemon *d, const char *word)
{
	const char *names[DAEMON_FLAGS_MAX];
	for (size_t i = 0; i < d->flag_count; i++)
		names[i] = d->flags[i].name;
	while (*word == '-')
		word++;
	return names_suggest(word, names, d->flag_count);
}
