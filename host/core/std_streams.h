/* Standard input, output and error of the programs. */
#ifndef TESSERA_CORE_STD_STREAMS_H
#define TESSERA_CORE_STD_STREAMS_H

/* For the start of main. A program may be started with some of the three closed; the next files that it opens would take their
   numbers, and what is meant for standard output would be written into them. The numbers are taken here by something that fails
   when it is used as the stream that it stands for. */
void std_streams_hold(void);

/* For the end of main: flushes standard output, and says with one line if something printed there was lost. Gives status, or 1 instead
   of 0 then. */
int std_streams_end(int status);

#endif
