/* options.h - what the command line of cashet-broker says. */
#pragma once

#include "common/err.h"

#define LISTEN_MAX 16

struct options {
	const char *listen[LISTEN_MAX]; /* tcp://HOST:PORT or ipc://PATH */
	unsigned listen_count;
	const char *blob_listen[LISTEN_MAX]; /* k-th belongs to the k-th --listen */
	unsigned blob_listen_count;
	const char *store; /* directory */
	const char *key;   /* file, or NULL: the default key */
	bool insecure;	   /* TCP without keys */
	bool is_private; /* the private broker of a store: local worker, ends when idle */
	uint64_t drain_timeout_ns;  /* TIME_NEVER: until what runs has ended */
	uint64_t idle_ns;	    /* private: life after the last client and task */
	const char *worker_program; /* private: what it starts; NULL: none */
	bool quiet;		    /* tests: no signal handlers are set */
};

enum options_do { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_MONITOR };

/** options_parse() - @what: what to do. OPTIONS_MONITOR: argv[1] is a subcommand for the `cashet`
 * program. Strings are borrowed from @argv and the environment. Return: 0; ERR_USAGE in @e. */
int options_parse(struct options *o, int argc, char **argv, enum options_do *what,
		  struct err *e);
void options_help(void);
/** options_monitor() - become `cashet broker ...` or `cashet worker ls`; returns on failure. */
int options_monitor(int argc, char **argv, struct err *e);
/** options_program() - heap: path of our program @name beside this one, else "NAME" for PATH. */
char *options_program(const char *name);
