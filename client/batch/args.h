/* args.h - what spec_args.c (arguments) and spec_values.c (values of sweeps) share. */
#pragma once

#include "client/batch/spec.h"
#include "common/template.h"

struct args_reader {
	struct spec *s;
	struct spec_task *task;
	const char *what; /* "argument \"lr\"", for messages */
	const struct node *sweep;
	bool of_sweep; /* what is read is a value of it */
	uint32_t input_capacity, hole_capacity;
	uint32_t values;  /* so far, of the call or of a sweep's value */
	uint32_t deepest; /* the same */
	bool *used;	  /* of each axis: it stands somewhere */
};

/** args_read_value() - @depth: lists and maps around it. @as_it_stands: no key and no ${ in it means
 * anything. Return: as doc_fail(). */
int args_read_value(struct args_reader *r, const struct node *node, uint32_t depth,
		    bool as_it_stands, struct arg *out);
/** args_find_axis() - the parameter that ${p.NAME} names. */
int args_find_axis(struct args_reader *r, const struct node *node,
		   const struct template_span *span, uint32_t *axisp);
/** args_check_holes() - whatever the sweep puts into them, the call is one. */
int args_check_holes(struct args_reader *r);
