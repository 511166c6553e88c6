module libminimax/minimax

go 1.19
