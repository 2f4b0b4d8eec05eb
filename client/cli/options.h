/* options.h - the options of all commands: one table, one struct that they fill in. Parser, help, manual
 * pages and completion come from it.
 *
 * To add one: a member of struct settings, a row of option_table[] in options.c with the commands'
 * set, its bit in the commands that take it (command_table.c), and docs/cli.md. */
#pragma once

#include "common/err.h"

struct text_list {
	const char **items;
	size_t count, capacity;
};

struct settings {
	/* of every command */
	const char *broker, *store, *key, *color;
	bool json, quiet, help, insecure, version;
	/* of some */
	bool detach, force, no_cache, all, csv, max, min, want_stdout, want_stderr,
		follow;
	bool graph, dot;
	const char *format, *by, *output_file, *output_name, *input_name, *role, *name;
	bool dry_run, yes, repair, verbose, no_logs;
	const char *older_than, *max_size, *func, *worker, *downstream, *read_data,
		*pin_name;
	const char *status, *batch, *since;
	uint64_t timeout_ns, deadline_ns, top, number;
	struct text_list tags, params, metrics, group_by, keywords, cflags;
	const char *agg, *dir, *shell_command;
	const char *python, *isolation, *over, *batch_name, *against;
	uint64_t task_timeout_ns, retries;
	bool keep;
};

/* Sets of options; a command takes OPTIONS_GLOBAL and those of its row. */
enum {
	OPTIONS_GLOBAL = 1 << 0,
	OPTIONS_SUBMIT = 1 << 1, /* --force --no-cache --tag --format */
	OPTIONS_DETACH = 1 << 2,
	OPTIONS_ALL = 1 << 3,
	OPTIONS_TIMEOUT = 1 << 4,
	OPTIONS_CSV = 1 << 5,	 /* and --param --metric --group-by --agg */
	OPTIONS_BEST = 1 << 6,	 /* -k --by --max --min */
	OPTIONS_GET = 1 << 7,	 /* -o --output --input */
	OPTIONS_STREAM = 1 << 8, /* --stdout --stderr */
	OPTIONS_FOLLOW = 1 << 9,
	OPTIONS_ROLE = 1 << 10, /* --role --name */
	OPTIONS_DEADLINE = 1 << 11,
	OPTIONS_LOG = 1 << 12,	    /* --func --tag --status --batch --since -n */
	OPTIONS_GRAPH = 1 << 13,    /* --graph --dot */
	OPTIONS_DESCRIBE = 1 << 14, /* --python --cflag */
	OPTIONS_CALL = 1 << 15,	    /* --kw --isolation --name --timeout --retries */
	OPTIONS_MAP = 1 << 16,	    /* --over -o */
	OPTIONS_AGAINST = 1 << 17,  /* --against */
	OPTIONS_EXPORT = 1 << 20,   /* those of log but for -n, and --all --no-logs */
	OPTIONS_IMPORT = 1 << 21,   /* --max-size */
	OPTIONS_VERBOSE = 1 << 23,  /* -v */
	OPTIONS_SHELL = 1 << 30,    /* --command --dir --keep */
	OPTIONS_DRY_RUN = 1 << 24,
	OPTIONS_YES = 1 << 25,
	OPTIONS_GC = 1 << 26,	  /* --older-than --max-size */
	OPTIONS_FILTER = 1 << 27, /* --tag --func --worker --downstream */
	OPTIONS_FSCK = 1 << 28,	  /* --read-data --repair */
	OPTIONS_PIN = 1 << 29,	  /* --name */
};

enum option_type {
	OPTION_FLAG,	 /* bool */
	OPTION_TEXT,	 /* const char * */
	OPTION_LIST,	 /* struct text_list: may be repeated */
	OPTION_NUMBER,	 /* uint64_t, at least 1 */
	OPTION_DURATION, /* uint64_t nanoseconds */
};

struct option_row {
	const char *name; /* without -- */
	char letter;	  /* 0: none */
	enum option_type type;
	unsigned set;
	size_t offset;	   /* in struct settings */
	const char *value; /* what the value is called in help; NULL for flags */
	const char *help;
	/* What it can be, for completion: one of "file", "dir", the kinds of cmd_complete.c, or
	 * "=THIS THAT" for a choice; NULL: anything. */
	const char *complete;
};

extern const struct option_row option_table[];
extern const size_t option_count;

struct words { /* what is not an option, in order; borrowed from argv */
	const char **items;
	size_t count;
};

/** options_parse() - take the options of @sets out of @argv (the program's name excluded).
 * --name=value, --name value, -k value, -kvalue, -ab for flags; "--" ends options; "-" and what
 * looks like a negative number are words.
 * @stop_at_word: stop in front of the first word that is no option.
 * @words:   appended to; has room for @argc more
 * Return: number of arguments used (@argc unless stopped), or -1 with ERR_USAGE in @e. */
int options_parse(struct settings *s, unsigned sets, int argc, char *const *argv,
		  bool stop_at_word, struct words *words, struct err *e);
void settings_fini(struct settings *s);
