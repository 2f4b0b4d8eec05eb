/* index_names.h - the table name: few names, many commits, so the numbers that one layer has of a name
 * are packed into few rows. A row holds up to NAMES_ROW_MAX of them; its seq is the highest. Rows of
 * a name cover ranges one after the other, but that a row written again after a crash may repeat
 * some of the one before. */
#pragma once

#include "broker/ledger/gap.h"

#define NAMES_ROW_MAX 512

struct index;
int index_put_names(struct index *index, const struct gap_list *list);
int index_drop_names(struct index *index, const struct gap_list *list);
/** names_unpack() - the numbers of a row, descending, appended to @out. Return: 0; 1 if malformed. */
int names_unpack(uint64_t last, const void *entries, size_t size, struct gap_seqs *out);
