/* describe.h - the command `describe`: docs/runners.md, "Calling describe". */
#pragma once

#include "common/pure/buf.h"
#include "runners/c/describe/flags.h"

struct describe_call {
	const char **roots; /* absolute folders */
	size_t root_count, root_capacity;
	const char **targets; /* FILE:NAME */
	size_t target_count, target_capacity;
	struct flags flags;
	bool canonical;
};

void describe_call_fini(struct describe_call *c);
/** describe_run() - in a child of limited memory and time. @out: the answer, one line. Return: exit status. */
int describe_run(const struct describe_call *call, struct buf *out);
/** describe_command() - the words behind `describe`. Return: exit status. */
int describe_command(int argc, char **argv);
