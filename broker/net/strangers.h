/* strangers.h - who connects by TCP and never becomes a peer: scanners, other protocols, garbage, wrong keys.
 * libzmq drops them before a message of theirs gets here; it is counted here all the same. */
#pragma once

struct broker;
struct control;
struct strangers;

/** strangers_watch() - from before @c->router is bound. Where that is not possible, nothing is counted. */
void strangers_watch(struct broker *b, struct control *c);
void strangers_unwatch(struct control *c); /* before the router is closed */
/** strangers_count() - once a second: into b->refused_messages and the log. */
void strangers_count(struct broker *b);
