/* cli.h - what the commands share: settings, the connection, where output goes.
 *
 * stdout is the product, stderr the chatter. Every command returns its exit code; errors are
 * printed by cli_fail() and nowhere else. */
#pragma once

#include "client/cashet.h"
#include "client/cli/options.h"
#include "client/cli/table.h"
#include "common/json.h"

#define SHORT_HASH 8 /* digits of batches and commits where people read them */
#define JSON_SCHEMA 1

struct cli {
	const char *program;
	const char *
		command; /* its name, once it is known; NULL: the program is nothing else */
	struct settings settings;
	struct words words; /* the command's arguments */
	struct cashet *c;   /* after cli_open() */
	bool color_out,
		color_err; /* standard output, error: a terminal that wants colour */
	bool tty_out, tty_err;
	int pager;	      /* its pid; 0: none */
	bool name_is_chatter; /* standard output has no room for the batch's name */
};

struct command {
	const char *name;  /* one word or two */
	const char *words; /* for help: "BATCH[:INDEX]"; "" if it takes none */
	/* What each word can be, as in struct option_row, one after the other; a choice ("=A B")
	 * stands alone. The last one counts for all further words. NULL: anything. */
	const char *complete;
	const char *summary;
	const char *help; /* more than the summary: sentences, paragraphs; NULL: none */
	const char *examples; /* lines; NULL: none */
	unsigned options;     /* sets, beside OPTIONS_GLOBAL */
	unsigned least, most; /* words */
	bool hidden;	      /* for programs, not for people */
	int (*run)(struct cli *cli);
};

extern const struct command command_table[];
extern const size_t command_count;

struct exit_code {
	int code;
	const char *meaning;
};
extern const struct exit_code exit_codes[];
extern const size_t exit_code_count;

/** cli_main() - @argv without the program's name; @command: NULL, or the only one ("submit"). */
int cli_main(const char *program, const char *command, int argc, char *const *argv);

#define COMMANDS_MAX 64
/** cli_is_group() - is @word the first of two: "worker", "broker", "key"? */
bool cli_is_group(const char *word);
/** cli_find_command() - the command that @words begin with, or NULL; @used: words that its name took. */
const struct command *cli_find_command(char *const *words, size_t count, size_t *used);

/** cli_fail() - print @e. Return: its code. */
int cli_fail(const struct cli *cli, const struct cashet_error *e);
int cli_fail_err(const struct cli *cli, const struct err *e);
/** cli_usage() - a slip in the command line. @next: "": how to see the command's usage. */
int cli_usage(const struct cli *cli, const char *next, const char *fmt, ...) PRINTF(3, 4);
/** cli_slip() - as cli_usage(), of an error that is made already. */
int cli_slip(const struct cli *cli, struct err *e);
/** cli_open() - connect as the settings say. @must_exist: a store that is not there is an error.
 * @no_wait: as in struct cashet_options. Return: 0 or the exit code, printed. */
int cli_open(struct cli *cli, bool must_exist, bool no_wait);
/** cli_connect() - one more connection; the caller closes it. Return: as cashet_open(). */
int cli_connect(const struct cli *cli, bool must_exist, bool no_wait, struct cashet **cp,
		struct cashet_error *e);
/** cli_look() - what standard output and error are; part of cli_open(). */
void cli_look(struct cli *cli);
/** cli_note() - chatter: a line on standard error unless --quiet; escape what strangers wrote. */
void cli_note(const struct cli *cli, const char *fmt, ...) PRINTF(2, 3);
/** cli_write() - @out to standard output, and empty it. Return: 0 or the exit code, printed;
 * CLI_LEFT: whoever reads has seen enough, which ends the command well. */
#define CLI_LEFT -1
int cli_write(const struct cli *cli, struct buf *out);

/** cli_interrupted() - a SIGINT, SIGTERM or SIGHUP came; cli_catch() begins to notice them. */
bool cli_interrupted(void *arg);
void cli_catch(void);
/** cli_forget_interrupt() - go on in spite of it, for @patience_ns or until another comes. */
void cli_forget_interrupt(uint64_t patience_ns);

/** cli_filter() - commits that --func --tag --status --batch --since -n mean; *@memoryp: what @filter
 * points to, to be freed. Return: 0; the exit code, printed. */
int cli_filter(struct cli *cli, struct cashet_commits_filter *filter, void **memoryp);
/** cli_task() - "BATCH:INDEX" to its parts. Return: 0; 1 if @word has no colon; 2, printed. */
int cli_task(const struct cli *cli, const char *word, char batch[CASHET_HEX_SIZE],
	     uint32_t *index);

/* ---- help (help.c) ---- */

/** help_text() - of @command, or of all (NULL). @only: the program is this command alone. */
void help_text(struct buf *out, const char *program, const struct command *command,
	       bool only);
int help_write(struct cli *cli, const struct command *command, bool only);
/** help_group() - the commands that begin with the word @group. */
int help_group(struct cli *cli, const char *group);
/** help_option_left() - "-t, --tag KEY=VALUE" to @out, "    --json" if there is no letter. */
void help_option_left(const struct option_row *row, char *out, size_t size);

/* ---- how results look (show.c) ---- */

/** show_cut() - @text to so many characters, and "..." if that is not all. */
void show_cut(struct buf *out, const char *text, size_t characters);
enum show_how {
	SHOW_TABLE, /* doubles to 6 digits, the beginning of long texts */
	SHOW_FULL,
	SHOW_CSV, /* and texts as they are */
};
/** show_value() - so that what differs looks different: a double has a point or an exponent, and a text
 * that looks like a number, a truth value or nothing stands in quotes. Not escaped. */
void show_value(struct buf *out, const struct cashet_value *value, enum show_how how);
void show_double(struct buf *out, double value, bool exact);
/** show_title() - "train[lr=0.1,seed=2]"; escaped. */
void show_title(struct buf *out, const char *name, const struct cashet_param *params,
		size_t count);
/** show_status() - one word: that of the status, or "cached". */
const char *show_status(const struct cashet_result *r);
void show_duration(struct buf *out, uint64_t ns); /* "0.42s", "3m10s" */
void show_ago(struct buf *out, uint64_t wall_ms);
void show_counts(struct buf *out, const struct cashet_counts *counts);
void show_short(char out[SHORT_HASH + 1], const uint8_t digest[32]);
/** show_table() - all of @results: parameters, metrics, status. */
int show_table(struct cli *cli, struct cashet_results *results, bool csv);

/* ---- JSON (show_json.c) ---- */

void json_begin(struct json *j,
		struct buf *out); /* {"schema":1, and the caller goes on */
void json_counts(struct json *j, const struct cashet_counts *counts, bool live);
void json_params(struct json *j, const struct cashet_param *params, size_t count);
void json_result(struct json *j, const struct cashet_result *r);
void json_hash(struct json *j, const char *key, bool is, const uint8_t digest[32]);
void json_value(struct json *j, const struct cashet_value *v);
/** json_batch() - {"schema", "batch", ..., "counts", and the caller goes on. */
void json_batch(struct json *j, struct buf *out, const struct cashet_batch *batch);
/** json_pass() - what is written so far to standard output, if it is much. Return: 0 or the exit
 * code, printed. */
int json_pass(struct cli *cli, struct buf *out);
/** show_json() - {"schema", "batch", ..., "counts", "tasks"} to standard output, in pieces. */
int show_json(struct cli *cli, struct cashet_results *results);
/** json_finish() - close the object, end the line, write. */
int json_finish(struct cli *cli, struct json *j);

/* ---- commits in the history (show_commit.c) ---- */

void show_size(struct buf *out, uint64_t bytes);   /* "1.2 MiB" */
void show_time(struct buf *out, uint64_t wall_ms); /* "2026-11-23 08:49:12" here */
/** show_text() - what users wrote: escaped on a terminal, else as it is. */
void show_text(const struct cli *cli, struct buf *out, const char *text);
void show_tags(const struct cli *cli, struct buf *out,
	       const struct cashet_commit *commit); /* "a=1, b" */
/** show_origin() - name, file and digest of an input, without where it came from (cmd_show.c). */
void show_origin(const struct cli *cli, struct buf *out, const struct cashet_origin *o);
void json_commit(struct json *j, const struct cashet_commit *commit);
/** json_origins() - "inputs": [...]; @commits: what the sources number. */
void json_origins(struct json *j, const struct cashet_origin *inputs, size_t count,
		  const struct cashet_commit *commits);

/* ---- lists of commits (show_commits.c) ---- */

typedef int (*commit_lister)(struct cli *cli, void *ctx, cashet_commit_row row, void *arg,
			     struct cashet_error *e);
/** show_commits() - what @lister gives to its row, as a table through the pager, or as JSON. */
int show_commits(struct cli *cli, commit_lister lister, void *ctx);

/* ---- a pager for long output (pager.c) ---- */

/** pager_begin() - if standard output is a terminal, let what is written to it go through a pager.
 * pager_end() waits for it. */
void pager_begin(struct cli *cli);
void pager_end(struct cli *cli);

/* ---- following a batch (follow.c) ---- */

/** follow_batch() - wait with a progress line until @batch has ended. @submitted: it was sent on
 * this handle without waiting for its acceptance; its short name is printed once it is known.
 * Return: 0 ended; an exit code, printed. *@pausedp: it was left paused. */
int follow_batch(struct cli *cli, const char *batch, bool submitted, uint64_t timeout_ns,
		 struct cashet_counts *counts, bool *pausedp);
/** follow_outcome() - exit code of an ended batch. */
int follow_outcome(const struct cashet_counts *counts);

/** describe_against() - `describe --against`. Return: the exit code. */
int describe_against(struct cli *cli, const struct cashet_describe *what);
/** json_description() - one target, as `describe` gives it. */
void json_description(struct json *j, const struct cashet_description *d);

/** get_result() - as `cashet get` writes it. Return: the exit code. */
int get_result(struct cli *cli, const struct cashet_result *r);

/* ---- the commands ---- */

int cmd_submit(struct cli *cli);
int cmd_map(struct cli *cli);
int cmd_describe(struct cli *cli);
int cmd_wait(struct cli *cli);
int cmd_retry(struct cli *cli);
int cmd_cancel(struct cli *cli);
int cmd_ps(struct cli *cli);
int cmd_results(struct cli *cli);
int cmd_best(struct cli *cli);
int cmd_get(struct cli *cli);
int cmd_logs(struct cli *cli);
int cmd_shell(struct cli *cli);
int cmd_gc(struct cli *cli);
int cmd_clear(struct cli *cli);
int cmd_rm(struct cli *cli);
int cmd_invalidate(struct cli *cli);
int cmd_fsck(struct cli *cli);
int cmd_pin(struct cli *cli);
int cmd_unpin(struct cli *cli);
int cmd_pins(struct cli *cli);
int cmd_why(struct cli *cli);
int cmd_diff(struct cli *cli);
int cmd_log(struct cli *cli);
int cmd_show(struct cli *cli);
int cmd_history(struct cli *cli);
int cmd_stats(struct cli *cli);
int cmd_worker_ls(struct cli *cli);
int cmd_worker_drain(struct cli *cli);
int cmd_broker_status(struct cli *cli);
int cmd_broker_drain(struct cli *cli);
int cmd_key_new(struct cli *cli);
int cmd_key_trust(struct cli *cli);
int cmd_key_ls(struct cli *cli);
int cmd_key_revoke(struct cli *cli);
int cmd_export(struct cli *cli);
int cmd_import(struct cli *cli);
int cmd_completion(struct cli *cli);
int cmd_complete(struct cli *cli);
int cmd_version(struct cli *cli);
int cmd_help(struct cli *cli);
