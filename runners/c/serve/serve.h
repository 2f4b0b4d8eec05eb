/* serve.h - the command `serve`: calls functions for a worker, until it closes the socket. */
#pragma once

#define SERVE_DESCRIPTOR 3 /* the socket */
#define SERVE_PROTOCOL 1

/** serve() - Return: exit status; the process should then end without running the handlers of libraries. */
int serve(void);
