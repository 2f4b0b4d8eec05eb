/* options.h - the command line of cashet-worker. */
#pragma once

#include "common/err.h"
#include "common/log.h"
#include "worker/resources.h"

struct options {
	char *broker, *name, *key_file;
	char *work_dir; /* private to this process unless given */
	bool work_dir_given;
	struct capacity capacity;
	char **pythons; /* NAME=PATH, in the order given: the last one of a name counts */
	size_t python_count, python_capacity;
	uint64_t cache_bytes, checkpoint_bytes;
	uint64_t drain_timeout_ns; /* TIME_NEVER: none */
	bool insecure;		   /* TCP without keys */
	bool is_private;	   /* of a private broker: end when it is gone for good */
	enum log_level log_level;
};

/** options_parse() - Return: -1 to go on; otherwise the exit code (help, version, errors; printed). */
int options_parse(struct options *o, int argc, char **argv);
void options_fini(struct options *o);
/** options_python() - what tasks mean by an interpreter: the path of a name that is mapped, else @name itself;
 * borrowed. @name may be NULL. */
const char *options_python(const struct options *o, const char *name);
