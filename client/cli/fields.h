/* fields.h - members of a JSON object, key and value in one call. */
#pragma once

#include "common/json.h"

static inline void field_text(struct json *j, const char *key, const char *value)
{
	json_key(j, key);
	json_string(j, value);
}

static inline void field_number(struct json *j, const char *key, uint64_t value)
{
	json_key(j, key);
	json_uint(j, value);
}

static inline void field_flag(struct json *j, const char *key, bool value)
{
	json_key(j, key);
	json_bool(j, value);
}
