"""What a run is judged by beside what its scenario expects: each oracle is a class that watches and then says so."""
