/* show_source.h - what ran: a command or a call, its code, packages, environment. */
#pragma once

#include "client/cli/cli.h"

/** show_source() - @f, @s: NULL if they are not in the store, or there are none. */
void show_source(const struct cli *cli, struct buf *out, const struct cashet_function *f,
		 const struct cashet_shipped *s);
/** json_function(), json_source() - fields of these names. */
void json_function(struct json *j, const struct cashet_function *f);
void json_source(struct json *j, const struct cashet_shipped *s);
