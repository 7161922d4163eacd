"""`mpiolab check`: does a load-balance policy keep the rules of path scheduling, and its own promises?

events      what can happen to a disk and its paths, as data
trial       such events, applied to a DSM with the policy
rules       what must hold, each with a name and a sentence
drawing     events drawn and shrunk by Hypothesis
shrinking   a list of events made shorter as long as it still shows the mistake
exercises   what is tried with fixed events: many paths, memory, other processes
verdict     all of it for one policy
replay      a failing list of events as a scenario
telling     what the terminal and JSON say
"""
