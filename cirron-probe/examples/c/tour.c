/*
 * A request with a nested scope, marks of every kind, and a scope that crosses to another thread.
 *
 *     cc -O2 -I../../c -pthread -o tour tour.c && ./tour
 */
#include "cirron.h"

#include <pthread.h>
#include <stdio.h>

static void *work(void *argument)
{
    cirron_scope fetch = *(cirron_scope *)argument;
    cirron_enter(fetch);
    cirron_scope parse = CIRRON_BEGIN("parse");
    cirron_end(parse);
    cirron_exit(fetch);
    cirron_end_as(fetch, CIRRON_FAILED);
    return NULL;
}

int main(void)
{
    pthread_t worker;
    int evaluated = 0;
    cirron_scope request = CIRRON_REQUEST("job-7");
    cirron_scope scope = CIRRON_BEGIN("preprocess", cirron_index(7), cirron_int("rows", -3),
                                      cirron_text("model", "tiny"));
    CIRRON_MARK(CIRRON_POINT, cirron_int("evaluated", ++evaluated));
    CIRRON_MARK(CIRRON_SUMMARY, cirron_uint("tokens", UINT64_MAX), cirron_text("source", "model"));
    CIRRON_MARK(CIRRON_POINT, cirron_float("loss", 0.25));
    CIRRON_MARK(CIRRON_POINT, cirron_bool("cached", 1));
    CIRRON_MARK_ON(request, CIRRON_POINT, cirron_text("finish", "stop"));
    cirron_end(scope);
    cirron_scope fetch = CIRRON_OPEN("fetch");
    if (pthread_create(&worker, NULL, work, &fetch) == 0)
        pthread_join(worker, NULL);
    cirron_end(request);
    cirron_end(CIRRON_OPEN_REQUEST(NULL));
    printf("evaluated %d\n", evaluated);
    return 0;
}
