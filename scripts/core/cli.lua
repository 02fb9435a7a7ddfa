print('hello', unpack((...) and {} or {}))
return { main = function(a) print(#a, require'host'.cores()); print(pcall(require,'lanthorn')) return 0 end }
