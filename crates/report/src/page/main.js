// Starts every part, then shows all trials.

startResults();
startTrials();
startFilter();
startCurves();
startMontage();
startConfigurations();
filterChanged();
